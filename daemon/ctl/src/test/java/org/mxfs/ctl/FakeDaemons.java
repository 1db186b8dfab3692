// SPDX-License-Identifier: Apache-2.0

package org.mxfs.ctl;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.UnaryOperator;

/** Daemons on real sockets of a made-up machine, which say what a test wants. */
final class FakeDaemons implements AutoCloseable {
  /** What they were asked. */
  final List<String> asked = new CopyOnWriteArrayList<>();

  private final List<ServerSocketChannel> servers = new ArrayList<>();

  static Path socket(Path root, String uuid) {
    return root.resolve("run/mxfs/" + uuid + ".control");
  }

  /** One that answers nobody, unless the test does. */
  ServerSocketChannel listen(Path root, String uuid) throws IOException {
    ServerSocketChannel server = keep(ServerSocketChannel.open(StandardProtocolFamily.UNIX));
    server.bind(UnixDomainSocketAddress.of(socket(root, uuid)));
    return server;
  }

  /** To be closed with the others. */
  ServerSocketChannel keep(ServerSocketChannel server) {
    servers.add(server);
    return server;
  }

  /** Answers each request with what this makes of it. */
  void start(Path root, String uuid, UnaryOperator<String> answers) throws IOException {
    ServerSocketChannel server = listen(root, uuid);
    Thread.ofPlatform()
        .daemon()
        .start(
            () -> {
              try {
                while (true) {
                  answer(server, answers);
                }
              } catch (IOException e) {
                return; // the end of the test
              }
            });
  }

  /** One client. */
  void answer(ServerSocketChannel server, UnaryOperator<String> answers) throws IOException {
    try (SocketChannel client = server.accept()) {
      String request =
          new BufferedReader(
                  new InputStreamReader(Channels.newInputStream(client), StandardCharsets.US_ASCII))
              .readLine();
      asked.add(request);
      ByteBuffer bytes =
          ByteBuffer.wrap((answers.apply(request) + "\n").getBytes(StandardCharsets.UTF_8));
      while (bytes.hasRemaining()) {
        client.write(bytes);
      }
    }
  }

  /** All of them end. */
  @Override
  public void close() throws IOException {
    for (ServerSocketChannel each : servers) {
      each.close();
    }
    servers.clear();
  }

  /** They end, and this one leaves nothing behind. */
  void end(Path root, String uuid) throws IOException {
    close();
    Files.deleteIfExists(socket(root, uuid));
  }
}
