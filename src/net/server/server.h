// SPDX-License-Identifier: Apache-2.0
// Server: one endpoint for HTTP/1.1 and HTTP/2, in cleartext or over TLS. The connection preface tells the protocol.
//
//   Handler& outlives the server's stop();   IoThreads outlives the Server
//
//   IoThreads threads;  threads.start();
//   auto server = Server::open(threads, {.name = "otlp/grpc", .endpoint = "localhost:4317"}, handler);
//   log("listening receiver=... endpoint=", (*server)->endpoint());
//   ...
//   (*server)->drain();  ...  (*server)->stop(5s);
//
// One thread accepts and gives every connection to the I/O thread with the fewest; the connection stays there until it
// ends. When descriptors run out, the server gives up a spare one to accept a connection and close it; without a spare,
// accepting pauses for 100 ms. Threads: open, stop and the destructor on the thread that owns it (never an I/O thread);
// the rest on any.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "base/result.h"
#include "net/auth/auth.h"
#include "net/http/http.h"
#include "net/io_threads.h"
#include "net/limits.h"
#include "net/server/listen.h"
#include "net/tls/tls.h"

namespace tailgate {

struct ServerOptions {
  std::string name;      // for messages and metrics
  std::string endpoint;  // HOST:PORT or unix:///PATH
  ServerLimits limits;
  ByteBudget* budget = nullptr;          // requests and TLS are charged here; null: nothing is charged
  std::size_t tls_connections = 0;       // of all endpoints that share the budget; 0: only this one
  std::optional<TlsOptions> tls = {};    // empty: cleartext
  std::optional<AuthOptions> auth = {};  // empty: everybody may send
  std::string config_path = {};          // of this endpoint; set: warns when strangers can reach it in plaintext
  bool takes_auth = true;                // false: the endpoint has no `auth` key, and the warning does not ask for it
  TlsContext::Notice notice = {};        // called when certificates or credentials are loaded again, or cannot be
  unsigned socket_mode = kSocketModeDefault;  // of the file of a Unix socket
};

struct ServerStats {
  std::uint64_t connections = 0;  // open now
  std::uint64_t accepted = 0;
  std::array<std::uint64_t, kCloseWhyNames.size()> closed{};  // by CloseWhy
};

class Server {
 public:
  // Binds and begins to serve. Errors: kConfig for a wrong endpoint or wrong TLS or credential files, kIo when it
  // cannot bind.
  static Result<std::unique_ptr<Server>> open(IoThreads& threads, ServerOptions options, Handler& handler);
  ~Server();  // stop(0)
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& name() const;
  const std::string& endpoint() const;  // HOST:PORT with the port in use, unix:///PATH
  std::uint16_t port() const;
  ServerStats stats() const;

  // Stops accepting and sends GOAWAY or Connection: close. Requests in flight are finished and answered.
  void drain();

  // Calls drain(), waits until every connection has ended, and after `grace` closes the rest. When it returns, the
  // handler is not called any more. The threads must be running.
  void stop(Duration grace);

 private:
  struct Core;
  explicit Server(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace tailgate
