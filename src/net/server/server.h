// Server: one endpoint for HTTP/1.1 and HTTP/2, told apart by the connection preface, in cleartext or over TLS.
//
//   Handler& outlives the server's stop();   IoThreads outlives the Server
//
//   IoThreads threads;  threads.start();
//   auto server = Server::open(threads, {.name = "otlp/grpc", .endpoint = "localhost:4317"}, handler);
//   log("listening receiver=... endpoint=", (*server)->endpoint());
//   ...
//   (*server)->drain();  ...  (*server)->stop(5s);
//
// One thread accepts and hands every connection to the I/O thread that has the fewest. Connections live and die on
// their thread. When descriptors run out, a spare one is given up to accept and close; failing that, accepting pauses
// for 100 ms. Threads: open, stop and the destructor on the thread that owns it (never an I/O thread); the rest on any.
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
  ByteBudget* budget = nullptr;          // requests and TLS are charged here; null: not at all
  std::size_t tls_connections = 0;       // of all endpoints that share the budget's room for them; 0: this one alone
  std::optional<TlsOptions> tls = {};    // empty: cleartext
  std::optional<AuthOptions> auth = {};  // empty: everybody may send
  std::string config_path = {};          // of this endpoint; set: a warning when strangers can reach it in plaintext
  bool takes_auth = true;                // false: its configuration has no `auth`, and the warning does not ask for it
  TlsContext::Notice notice = {};        // told when certificates or credentials are loaded again, or cannot be
  unsigned socket_mode = kSocketModeDefault;  // of the file of a Unix socket
};

struct ServerStats {
  std::uint64_t connections = 0;  // open now
  std::uint64_t accepted = 0;
  std::array<std::uint64_t, kCloseWhyNames.size()> closed{};  // by CloseWhy
};

class Server {
 public:
  // Binds and begins to serve. Errors: kConfig for an endpoint, TLS or credential files that do not read, kIo when it
  // cannot be bound.
  static Result<std::unique_ptr<Server>> open(IoThreads& threads, ServerOptions options, Handler& handler);
  ~Server();  // stop(0)
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& name() const;
  const std::string& endpoint() const;  // HOST:PORT with the port in use, unix:///PATH
  std::uint16_t port() const;
  ServerStats stats() const;

  // Stops accepting; GOAWAY, Connection: close; requests in flight are finished and answered.
  void drain();

  // drain(), then waits until every connection is gone, closing what is left after `grace`. When it returns, the
  // handler is not called any more. The threads must be running.
  void stop(Duration grace);

 private:
  struct Core;
  explicit Server(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace tailgate
