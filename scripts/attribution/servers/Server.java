// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.nio.file.ExtendedOpenOption;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.ReentrantLock;

/** Arguments: port, port of the downstream server, folder, "pool" or "default". */
public class Server {
    static final int CHUNK = 1 << 20;
    static final ReentrantLock lock = new ReentrantLock();
    static int downstream;
    static Path folder;
    static final Map<String, Data> data = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        downstream = Integer.parseInt(args[1]);
        folder = Path.of(args[2]);
        Thread holder = new Thread(() -> hold(port));
        holder.setDaemon(true);
        holder.start();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 64);
        server.createContext("/", Server::handle);
        if (args[3].equals("pool")) {
            server.setExecutor(Executors.newFixedThreadPool(8));
        }
        server.start();
    }

    /** Holds the lock for 50 ms whenever a datagram asks for it. */
    static void hold(int port) {
        try (DatagramSocket s = new DatagramSocket(port, InetAddress.getByName("127.0.0.1"))) {
            DatagramPacket p = new DatagramPacket(new byte[1], 1);
            while (true) {
                s.receive(p);
                lock.lock();
                s.send(p);
                Thread.sleep(50);
                lock.unlock();
            }
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    static long runq() throws IOException {
        return Long.parseLong(Files.readString(Path.of("/proc/thread-self/schedstat")).split(" ")[1]);
    }

    static long cpu() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    /** A client's file: each has its own, so that they do not lock one another out. */
    static class Data {
        final FileChannel file, direct;
        final ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK + 4096).alignedSlice(4096).limit(CHUNK).slice();

        Data(String client) {
            try {
                Path p = folder.resolve("data-" + client);
                file = FileChannel.open(p, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
                direct = FileChannel.open(p, StandardOpenOption.READ, ExtendedOpenOption.DIRECT);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        void useDisk(long until) throws IOException {
            for (long offset = 0; System.nanoTime() < until; offset = (offset + CHUNK) % (64L * CHUNK)) {
                file.write(buffer.clear(), offset);
                file.force(true);
                direct.read(buffer.clear(), offset);
            }
        }

        void useMemory(long until) throws IOException {
            for (long offset = 0; System.nanoTime() < until; offset = (offset + CHUNK) % (512L * CHUNK)) {
                file.write(buffer.clear(), offset);
            }
        }
    }

    static void work(String path, String client, long began) throws Exception {
        switch (path) {
            case "/spin":
                while (System.nanoTime() < began + 50_000_000) {
                    // on purpose
                }
                break;
            case "/sleep":
                Thread.sleep(50);
                break;
            case "/lock":
                lock.lock();
                lock.unlock();
                break;
            case "/net":
                try (InputStream in = new URL("http://127.0.0.1:" + downstream + "/").openStream()) {
                    in.readAllBytes();
                }
                break;
            case "/disk":
                data.computeIfAbsent(client, Data::new).useDisk(began + 50_000_000);
                break;
            case "/memory":
                data.computeIfAbsent(client, Data::new).useMemory(began + 150_000_000);
                break;
            default:
        }
    }

    static void handle(HttpExchange x) throws IOException {
        try (x) {
            String client = x.getRequestURI().getQuery().substring(2).split("-")[0];
            long runq = runq(), cpu = cpu(), began = System.nanoTime();
            work(x.getRequestURI().getPath(), client, began);
            String body = "{\"added_ns\":" + (System.nanoTime() - began) + ",\"cpu_ns\":" + (cpu() - cpu)
                + ",\"runq_ns\":" + (runq() - runq) + "}";
            byte[] b = body.getBytes();
            x.sendResponseHeaders(200, b.length);
            x.getResponseBody().write(b);
        } catch (IOException e) {
            throw e;
        } catch (Exception e) {
            throw new IOException(e);
        }
    }
}
