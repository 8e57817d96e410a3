#include "net/unix_socket.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace tailgate;

namespace {

struct Directory {
  Directory() {
    char name[] = "/tmp/tailgate-socket-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string socket() const { return (path / "otlp.sock").string(); }
  std::filesystem::path path;
};

std::string error_of(const Result<UnixListener>& result) { return result ? "" : result.error().text; }

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
        "cannot listen on unix://" + directory.socket() + ": there is a file that is no socket");
  CHECK(std::filesystem::file_size(directory.socket()) == 8);
  CHECK(error_of(listen_unix((directory.path / "none" / "s").string(), 0600)).ends_with("No such file or directory"));
}
