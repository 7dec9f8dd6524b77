// SPDX-License-Identifier: Apache-2.0
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

public class Client {
    static BodyPublisher publisher(String body) {
        if (body.equals("-")) {
            return BodyPublishers.noBody();
        }
        if (body.startsWith("chunked:")) {
            byte[] data = new byte[Integer.parseInt(body.substring(8))];
            return BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(data));
        }
        return BodyPublishers.ofByteArray(new byte[Integer.parseInt(body)]);
    }

    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        for (int i = 1; i < args.length; i++) {
            String[] step = args[i].split(" ");
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[0] + step[1])).method(step[0], publisher(step[2])).build();
            client.send(request, BodyHandlers.discarding());
        }
    }
}
