// SPDX-License-Identifier: Apache-2.0
#include "net/unix_socket.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "component/net/echo_server.h"
#include "support/temp_dir.h"

using namespace tailgate;

namespace {

struct Directory : test::TempDir {
  std::string socket() const { return at("otlp.sock"); }
};

std::string error_of(const Result<UnixListener>& result) { return result ? "" : result.error().text; }

// Answers with what it knows of the sender.
struct WhoHandler final : Handler {
  Admission admit(const RequestHead&) override { return {}; }
  void handle(const RequestHead& head, BodyBuffer&, Response& response) override {
    response = plain_response(200, head.remote);
  }
  Response refuse(const RequestHead&, const Refusal& refusal) override {
    return plain_response(refusal_answer(refusal).http, refusal_answer(refusal).reason);
  }
};

// A connection of user `uid`. The system call, unlike the function, changes the calling thread alone.
int connect_as(const std::string& path, uid_t uid) {
  int fd = -1;
  std::thread([&] {
    if (uid == ::geteuid() || ::syscall(SYS_setresuid, -1, uid, -1) == 0) fd = connect_unix(path);
  }).join();
  return fd;
}

// The answer to a POST of `body` bytes on `fd`; "" when the connection is closed instead.
std::string ask(int fd, std::size_t body) {
  const std::string request =
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n" + std::string(body, 'b');
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return {};
  pollfd p{fd, POLLIN, 0};
  char buffer[4096];
  const ssize_t n = ::poll(&p, 1, 5000) == 1 ? ::recv(fd, buffer, sizeof buffer, 0) : 0;
  return {buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

}  // namespace

TEST_CASE("a Unix socket has its mode, takes clients, and goes with its owner", "[net]") {
  const Directory directory;
  {
    const Result<UnixListener> opened = listen_unix(directory.socket(), 0640);
    REQUIRE(opened);
    CHECK(std::filesystem::status(directory.socket()).permissions() == std::filesystem::perms(0640));
    const int client = connect_unix(directory.socket());
    CHECK(client >= 0);
    ::close(client);
    ::close(opened->descriptor);
  }
  CHECK_FALSE(std::filesystem::exists(directory.socket()));
}

TEST_CASE("a socket left behind is replaced, one in use and other files are not", "[net]") {
  const Directory directory;
  auto crashed = listen_unix(directory.socket(), 0600);
  REQUIRE(crashed);
  CHECK(error_of(listen_unix(directory.socket(), 0600)) ==
        "cannot listen on unix://" + directory.socket() + ": another process listens there");
  ::close(crashed->descriptor);  // the file stays, as after a crash
  REQUIRE(std::filesystem::exists(directory.socket()));
  auto next = listen_unix(directory.socket(), 0600);
  REQUIRE(next);
  // Made within one tick of the file system's clock, the two may look alike.
  std::filesystem::last_write_time(directory.socket(),
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  crashed->file.reset();  // the file is not his any more
  CHECK(std::filesystem::exists(directory.socket()));
  std::filesystem::remove(directory.socket());
  ::close(next->descriptor);

  std::ofstream(directory.socket()) << "precious";
  CHECK(error_of(listen_unix(directory.socket(), 0600)) ==
        "cannot listen on unix://" + directory.socket() + ": there is a file that is not a socket");
  CHECK(std::filesystem::file_size(directory.socket()) == 8);
  CHECK(error_of(listen_unix((directory.path / "none" / "s").string(), 0600)).ends_with("No such file or directory"));
}

TEST_CASE("over a Unix socket each user is a client of its own", "[net]") {
  const Directory directory;
  std::filesystem::permissions(directory.path, std::filesystem::perms(0755));
  WhoHandler handler;
  IoThreads threads{2};
  threads.start();
  ServerOptions options;
  options.name = "who";
  options.endpoint = "unix://" + directory.socket();
  options.socket_mode = 0666;
  options.limits.connections_per_address = 2;
  options.limits.client.bytes_per_second = 100;
  const auto server = Server::open(threads, std::move(options), handler);
  REQUIRE(server);
  const uid_t me = ::geteuid();
  const int first = connect_as(directory.socket(), me);
  const int second = connect_as(directory.socket(), me);
  CHECK(ask(first, 5000).ends_with("\r\n\r\nunix:" + std::to_string(me) + "\n"));
  CHECK(ask(second, 1).find("client_bytes") != std::string::npos);
  const int third = connect_as(directory.socket(), me);
  CHECK(ask(third, 1).empty());
  if (me == 0) {  // only root can be somebody else
    const int other = connect_as(directory.socket(), 12345);
    CHECK(ask(other, 1).ends_with("\r\n\r\nunix:12345\n"));
    ::close(other);
  }
  for (const int fd : {first, second, third}) ::close(fd);
}
