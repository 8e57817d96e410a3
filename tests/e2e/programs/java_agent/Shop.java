// SPDX-License-Identifier: Apache-2.0
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** A server and its client in one process, both instrumented by the agent: one order that fails and one that does not. */
public final class Shop {
  public static void main(String[] arguments) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/orders", exchange -> {
      boolean missing = exchange.getRequestURI().getPath().endsWith("/7");
      exchange.sendResponseHeaders(missing ? 500 : 200, -1);
      exchange.close();
    });
    server.start();
    HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    for (int[] order : new int[][] {{7, 500}, {8, 200}}) {
      URI uri = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/orders/" + order[0]);
      int status = client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.discarding()).statusCode();
      if (status != order[1]) {
        throw new IllegalStateException(uri + " answers " + status);
      }
    }
    server.stop(0);
  }
}
