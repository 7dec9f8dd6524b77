// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;

public class Server {
    static final Path ROOT = Path.of(System.getenv("CONF_ROOT"));

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv("CONF_PORT"));
        for (String host : new String[] {"127.0.0.1", "::1"}) {
            HttpServer server = HttpServer.create(new InetSocketAddress(host, port), 256);
            server.createContext("/", Server::handle);
            server.setExecutor(Executors.newFixedThreadPool(16));
            server.start();
        }
    }

    static void handle(HttpExchange x) throws IOException {
        long body = -1;
        int[] status = {0};
        try (x) {
            body = app(x, status);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            String length = body < 0 ? "-" : Long.toString(body);
            System.out.println("conf|" + status[0] + "|-|" + length + "|-|"
                + x.getRequestMethod() + " " + x.getRequestURI() + " " + x.getProtocol());
        }
    }

    static long answer(HttpExchange x, int code, String text) throws IOException {
        byte[] data = text.getBytes(StandardCharsets.US_ASCII);
        if (x.getRequestMethod().equals("HEAD") || code == 204 || code == 304) {
            x.sendResponseHeaders(code, -1);
            return 0;
        }
        x.sendResponseHeaders(code, data.length);
        x.getResponseBody().write(data);
        return data.length;
    }

    static long pieces(HttpExchange x, int count, long delay, String text) throws IOException, InterruptedException {
        x.sendResponseHeaders(200, 0);
        OutputStream out = x.getResponseBody();
        for (int i = 0; i < count; i++) {
            if (i > 0 && delay > 0) {
                Thread.sleep(delay);
            }
            out.write(text.getBytes(StandardCharsets.US_ASCII));
            out.flush();
        }
        return (long) count * text.length();
    }

    static long app(HttpExchange x, int[] status) throws IOException, InterruptedException {
        String path = x.getRequestURI().getPath();
        status[0] = 200;
        if (path.equals("/hello")) {
            return answer(x, 200, "hello\n");
        } else if (path.startsWith("/status/")) {
            status[0] = Integer.parseInt(path.substring(8));
            return answer(x, status[0], "status\n");
        } else if (path.equals("/post")) {
            InputStream in = x.getRequestBody();
            long n = in.transferTo(OutputStream.nullOutputStream());
            return answer(x, 200, n + "\n");
        } else if (path.equals("/early")) {
            status[0] = 413;
            return answer(x, 413, "too much\n");
        } else if (path.equals("/big")) {
            long size = Files.size(ROOT.resolve("big"));
            x.sendResponseHeaders(200, size);
            return Files.copy(ROOT.resolve("big"), x.getResponseBody());
        } else if (path.equals("/chunked")) {
            return pieces(x, 5, 0, "xxxxxxx");
        } else if (path.equals("/stream")) {
            return pieces(x, 10, 50, "s".repeat(1000));
        } else if (path.startsWith("/sleep/")) {
            Thread.sleep(Long.parseLong(path.substring(7)));
            return answer(x, 200, "slept\n");
        }
        status[0] = 404;
        return answer(x, 404, "no such path\n");
    }
}
