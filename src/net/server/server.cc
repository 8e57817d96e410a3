// SPDX-License-Identifier: Apache-2.0
#include "net/server/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <map>
#include <thread>

#include "base/hash.h"
#include "base/mutex.h"
#include "net/http/clients.h"
#include "net/server/connection.h"
#include "net/server/listen.h"

namespace tailgate {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;

constexpr int kAcceptsPerTurn = 64;
constexpr int kKeepAliveSeconds = 60, kKeepAliveInterval = 15, kKeepAliveTries = 4;
constexpr auto kAcceptPause = milliseconds(100);

// Time limits are judged this often: a tenth of the shortest, between 10 and 200 ms.
Duration tick_of(const ServerLimits& limits) {
  const Duration shortest = std::min({limits.header_timeout, limits.body_grace, limits.idle_timeout});
  return std::clamp<Duration>(shortest / 10, milliseconds(10), milliseconds(200));
}

constexpr std::size_t kHeldWithoutBudget = 4 << 20;

std::size_t held_max(const ServerOptions& options) {
  if (options.limits.held_body_bytes != 0) return options.limits.held_body_bytes;
  if (options.budget == nullptr) return kHeldWithoutBudget;
  // Over TLS a held body keeps as much memory again in OpenSSL.
  return options.budget->cap(Holder::kRequests) / (options.tls ? 16 : 8);
}

// This endpoint's part of the room for TLS connections. One address gets half of it at most.
std::size_t tls_states_max(const ServerOptions& options) {
  if (!options.tls || options.budget == nullptr) return SIZE_MAX;
  const std::size_t all = std::max<std::size_t>(options.tls_connections, options.limits.connections);
  const auto part = static_cast<double>(options.limits.connections) / static_cast<double>(all);
  const std::size_t room = options.budget->cap(Holder::kConnections) / kTlsStateBytes;
  return std::max<std::size_t>(static_cast<std::size_t>(static_cast<double>(room) * part), 4);
}

// Null when no limit needs counting.
std::unique_ptr<ClientTable> make_clients(const ClientLimits& limits) {
  return limits.any() ? std::make_unique<ClientTable>(limits, random_seed()) : nullptr;
}

ClientLimits client_limits(const ServerOptions& options) {
  ClientLimits out = options.limits.client;
  if (out.held_bytes == ClientLimits::kHalf) out.held_bytes = held_max(options) / 2;
  return out;
}

// The warning for an endpoint that strangers can reach; empty when there is none.
std::string exposure(const ServerOptions& options, const std::string& endpoint) {
  if (options.tls || options.config_path.empty()) return {};
  if (!options.takes_auth) {
    return fmt::format("{} listens on {} in plaintext and serves anyone; set {}.tls, or an address only probes reach",
                       options.name, endpoint, options.config_path);
  }
  return options.auth ? fmt::format("{} listens on {} without TLS: credentials can be read on the way; set {}.tls",
                                    options.name, endpoint, options.config_path)
                      : fmt::format("{} listens on {} in plaintext and serves anyone; set {}.tls and {}.auth",
                                    options.name, endpoint, options.config_path, options.config_path);
}

// The user at the other end of a Unix socket, from the kernel: "unix:UID". There is no address that tells clients
// apart.
std::string unix_peer(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? fmt::format("unix:{}", peer.uid) : "unix";
}

int open_spare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

struct Server::Core : std::enable_shared_from_this<Server::Core> {
  Core(ServerOptions o, Handler& handler, std::shared_ptr<TlsContext> tls_context,
       std::shared_ptr<Authenticator> authenticator)
      : options(std::move(o)),
        tls(std::move(tls_context)),
        auth(std::move(authenticator)),
        tls_states(tls_states_max(options)),
        held(held_max(options)),
        client(client_limits(options)),
        clients(make_clients(client)),
        context{handler, options.limits, options.budget, &held, tls.get(), auth.get(), clients.get()},
        tick(tick_of(options.limits)) {}

  struct Listener {
    Listener(asio::io_context& io, int descriptor) : fd(descriptor), acceptor(io), pause(io) {}
    int fd;
    tcp::acceptor acceptor;
    asio::steady_timer pause;
  };

  void start_listener(Listener& l);
  void on_acceptable(Listener& l);
  bool out_of_descriptors(Listener& l);
  void admit(int fd, const sockaddr_storage& from);
  void adopt(ServerThread& t, int fd, bool v6, const std::string& remote);
  void start_tick(ServerThread& t);
  void watch_handshake(ServerThread& t, const std::shared_ptr<Connection>& connection);
  void on_closed(ServerThread& t, const std::string& remote, std::optional<CloseWhy> why);
  void count(CloseWhy why) { closed[static_cast<std::size_t>(why)].fetch_add(1, std::memory_order_relaxed); }
  void on_all(const std::function<void(ServerThread&)>& work);
  void release_slot(ServerThread& t, const std::string& remote);

  const ServerOptions options;
  const std::shared_ptr<TlsContext> tls;      // null: cleartext
  const std::shared_ptr<Authenticator> auth;  // null: everybody may send
  const std::size_t tls_states;               // at most
  HeldBodies held;
  const ClientLimits client;
  const std::unique_ptr<ClientTable> clients;  // null: no limits of one client
  SessionContext context;
  const Duration tick;
  Endpoint endpoint;
  std::string endpoint_text;
  std::unique_ptr<SocketFile> socket_file;  // of a Unix socket; the first thread only
  std::vector<std::unique_ptr<ServerThread>> server_threads;
  std::vector<std::unique_ptr<Listener>> listeners;  // all on the first thread
  int spare = -1;                                    // that thread only
  std::atomic<bool> draining{false};
  bool stopped = false;  // the owner's thread only
  std::atomic<std::uint64_t> accepted{0};
  std::array<std::atomic<std::uint64_t>, kCloseWhyNames.size()> closed{};

  Mutex mutex;
  CondVar all_closed;
  std::size_t connections TAILGATE_GUARDED_BY(mutex) = 0;
  std::map<std::string, std::size_t> from_address TAILGATE_GUARDED_BY(mutex);  // by client_of_address
};

void Server::Core::start_listener(Listener& l) {
  l.acceptor.async_wait(tcp::acceptor::wait_read, [core = shared_from_this(), &l](const error_code& ec) {
    if (ec || core->draining.load()) return;
    core->on_acceptable(l);
  });
}

void Server::Core::on_acceptable(Listener& l) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = ::accept4(l.fd, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      admit(fd, from);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    if (errno == EMFILE || errno == ENFILE) {
      if (out_of_descriptors(l)) continue;
    } else if (errno != ENOBUFS && errno != ENOMEM) {
      continue;  // ECONNABORTED, EINTR, EPROTO and the network's errors of accept(2): the next one may be fine
    }
    l.pause.expires_after(kAcceptPause);
    l.pause.async_wait([core = shared_from_this(), &l](const error_code& ec) {
      if (!ec && !core->draining.load()) core->start_listener(l);
    });
    return;
  }
  start_listener(l);
}

// Uses the spare descriptor to accept one waiting connection and close it. Returns false when there is no spare.
bool Server::Core::out_of_descriptors(Listener& l) {
  count(CloseWhy::kDescriptors);
  if (spare >= 0) {
    ::close(spare);
    spare = -1;
    const int fd = ::accept4(l.fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) ::close(fd);
  }
  spare = open_spare();
  return spare >= 0;
}

void Server::Core::admit(int fd, const sockaddr_storage& from) {
  const bool v6 = from.ss_family == AF_INET6;
  const bool local = !endpoint.path.empty();
  const std::string remote = local ? unix_peer(fd) : address_text(from);
  const std::string sender = client_of_address(remote);
  std::optional<CloseWhy> refused;
  {
    const MutexLock lock(mutex);
    auto& of_address = from_address[sender];
    if (connections >= options.limits.connections) {
      refused = CloseWhy::kConnections;
    } else if (of_address >= std::min(options.limits.connections_per_address, tls_states / 2)) {
      refused = CloseWhy::kAddress;
    } else {
      ++connections;
      ++of_address;
    }
    if (refused && of_address == 0) from_address.erase(sender);
  }
  if (refused) {
    count(*refused);
    ::close(fd);
    return;
  }
  accepted.fetch_add(1, std::memory_order_relaxed);
  const int one = 1;
  if (!local) {
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // A peer that is gone may leave an answer open, which only we can end. The kernel finds this out after two minutes
    // instead of its default of two hours.
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveSeconds, sizeof kKeepAliveSeconds);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveInterval, sizeof kKeepAliveInterval);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kKeepAliveTries, sizeof kKeepAliveTries);
  }
  auto& t = **std::min_element(server_threads.begin(), server_threads.end(),
                               [](const auto& a, const auto& b) { return a->count.load() < b->count.load(); });
  t.count.fetch_add(1);
  asio::post(t.io, [core = shared_from_this(), &t, fd, v6, remote] { core->adopt(t, fd, v6, remote); });
}

void Server::Core::adopt(ServerThread& t, int fd, bool v6, const std::string& remote) {
  error_code ec;
  tcp::socket socket(t.io);  // also around a Unix socket: the calls used here need nothing of TCP
  socket.assign(v6 ? tcp::v6() : tcp::v4(), fd, ec);
  if (ec || t.draining) {
    if (ec) ::close(fd);
    return release_slot(t, remote);
  }
  std::shared_ptr<Connection> connection;
  try {
    connection = std::make_shared<Connection>(
        t, std::move(socket), context, remote,
        [core = shared_from_this()](ServerThread& from, const std::string& address, std::optional<CloseWhy> why) {
          core->on_closed(from, address, why);
        });
    connection->slot = t.connections.size();
    t.connections.push_back(connection);
    if (tls != nullptr) watch_handshake(t, connection);
  } catch (const std::exception&) {  // no memory
    const bool listed = connection != nullptr && !t.connections.empty() && t.connections.back() == connection;
    return listed ? connection->close_now(std::nullopt) : release_slot(t, remote);
  }
  connection->start();
}

// An unfinished handshake holds much more memory than an idle connection, and strangers need no certificate to begin
// one. The oldest is closed, because an honest handshake takes only a few round trips.
void Server::Core::watch_handshake(ServerThread& t, const std::shared_ptr<Connection>& connection) {
  const auto done = [](const std::weak_ptr<Connection>& one) {
    const auto other = one.lock();
    return other == nullptr || !other->handshaking();
  };
  t.handshakes.push_back(connection);
  while (done(t.handshakes.front())) t.handshakes.pop_front();
  const std::size_t max = std::max<std::size_t>(options.limits.tls_handshakes / server_threads.size(), 1);
  if (t.handshakes.size() <= max) return;
  std::erase_if(t.handshakes, done);
  if (t.handshakes.size() <= max) return;
  if (const auto oldest = t.handshakes.front().lock()) oldest->close_now(CloseWhy::kHandshakes);
  t.handshakes.pop_front();
}

void Server::Core::release_slot(ServerThread& t, const std::string& remote) {
  t.count.fetch_sub(1);
  const MutexLock lock(mutex);
  const auto it = from_address.find(client_of_address(remote));
  if (it != from_address.end() && --it->second == 0) from_address.erase(it);
  if (--connections == 0) all_closed.notify_all();
}

void Server::Core::on_closed(ServerThread& t, const std::string& remote, std::optional<CloseWhy> why) {
  if (why) count(*why);
  release_slot(t, remote);
}

void Server::Core::start_tick(ServerThread& t) {
  t.timer.expires_after(tick);
  t.timer.async_wait([core = shared_from_this(), &t](const error_code& ec) {
    if (ec || t.stopped) return;  // a tick that was due already is not cancelled
    const TimePoint now = monotonic_now();
    if (t.index == 0 && core->tls != nullptr) core->tls->refresh(now);
    if (t.index == 0 && core->auth != nullptr) core->auth->refresh(now);
    const auto open = t.connections;  // a tick may close one, which takes it out of the list
    for (const auto& connection : open) connection->tick(now);
    core->start_tick(t);
  });
}

// Runs `work` on every thread and waits until all are done.
void Server::Core::on_all(const std::function<void(ServerThread&)>& work) {
  Mutex m;
  CondVar done;
  std::size_t left = server_threads.size();
  for (auto& thread : server_threads) {
    asio::post(thread->io, [&, t = thread.get()] {
      work(*t);
      const MutexLock counted(m);
      if (--left == 0) done.notify_all();
    });
  }
  const MutexLock lock(m);
  while (left != 0) done.wait(m);
}

Server::Server(std::shared_ptr<Core> core) : core_(std::move(core)) {}

Result<std::unique_ptr<Server>> Server::open(IoThreads& threads, ServerOptions options, Handler& handler) {
  const auto endpoint = parse_endpoint(options.endpoint);
  if (!endpoint) return tl::unexpected<Error>(endpoint.error());
  std::shared_ptr<TlsContext> tls;
  if (options.tls) {
    auto loaded = TlsContext::load(*options.tls, options.notice);
    if (!loaded) return tl::unexpected<Error>(loaded.error());
    tls = std::move(*loaded);
  }
  std::shared_ptr<Authenticator> auth;
  if (options.auth) {
    auto loaded = Authenticator::load(*options.auth, options.notice);
    if (!loaded) return tl::unexpected<Error>(loaded.error());
    auth = std::move(*loaded);
  }
  auto listening = open_listeners(*endpoint, options.socket_mode);
  if (!listening) {
    Error error = listening.error();
    if (!options.config_path.empty()) error.text = options.config_path + ": " + error.text;
    return tl::unexpected<Error>(std::move(error));
  }

  const bool exposed = beyond_loopback(*listening);
  const auto core = std::make_shared<Core>(std::move(options), handler, std::move(tls), std::move(auth));
  core->endpoint = listening->endpoint;
  core->endpoint_text = listening->endpoint.text();
  core->socket_file = std::move(listening->file);
  core->spare = open_spare();
  for (std::size_t i = 0; i < threads.size(); ++i)
    core->server_threads.push_back(std::make_unique<ServerThread>(threads.context(i), i));
  for (const auto& thread : core->server_threads)
    thread->tls_states_max = std::max<std::size_t>(core->tls_states / core->server_threads.size(), 2);
  for (const int fd : listening->descriptors) {
    auto listener = std::make_unique<Core::Listener>(core->server_threads[0]->io, fd);
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    error_code ec;
    listener->acceptor.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd, ec);
    if (ec) return fail(ErrorKind::kIo, "cannot listen on " + core->endpoint_text + ": " + ec.message());
    core->listeners.push_back(std::move(listener));
  }
  if (const std::string text = exposure(core->options, core->endpoint_text);
      exposed && !text.empty() && core->options.notice) {
    core->options.notice(text);
  }
  for (auto& thread : core->server_threads) {
    asio::post(thread->io, [core, t = thread.get()] {
      core->start_tick(*t);
      if (t->index != 0) return;
      for (auto& listener : core->listeners) core->start_listener(*listener);
    });
  }
  return std::unique_ptr<Server>(new Server(core));
}

Server::~Server() { stop(Duration::zero()); }

const std::string& Server::name() const { return core_->options.name; }
const std::string& Server::endpoint() const { return core_->endpoint_text; }
std::uint16_t Server::port() const { return core_->endpoint.port; }

ServerStats Server::stats() const {
  ServerStats out;
  {
    const MutexLock lock(core_->mutex);
    out.connections = core_->connections;
  }
  out.accepted = core_->accepted.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < out.closed.size(); ++i) out.closed[i] = core_->closed[i].load(std::memory_order_relaxed);
  return out;
}

void Server::drain() {
  if (core_->draining.exchange(true)) return;
  for (auto& thread : core_->server_threads) {
    asio::post(thread->io, [core = core_, t = thread.get()] {
      t->draining = true;
      if (t->index == 0) {
        core->socket_file.reset();
        for (auto& listener : core->listeners) {
          error_code ignored;
          listener->acceptor.close(ignored);
          listener->pause.cancel();
        }
        if (core->spare >= 0) ::close(std::exchange(core->spare, -1));
      }
      const auto open = t->connections;
      for (const auto& connection : open) connection->drain();
    });
  }
}

void Server::stop(Duration grace) {
  if (std::exchange(core_->stopped, true)) return;
  drain();
  {
    const TimePoint until = monotonic_now() + grace;
    const MutexLock lock(core_->mutex);
    while (core_->connections != 0 && core_->all_closed.wait_until(core_->mutex, until)) {
    }
  }
  core_->on_all([](ServerThread& t) {
    const auto open = t.connections;
    for (const auto& connection : open) connection->close_now(CloseWhy::kDrained);
    t.stopped = true;
    t.timer.cancel();
  });
  // Pending handlers hold the core and the sockets; two more rounds let them finish.
  core_->on_all([](ServerThread&) {});
  core_->on_all([](ServerThread&) {});
}

}  // namespace tailgate
