// SPDX-License-Identifier: Apache-2.0
// Credentials over real sockets, from files that change.
#include "net/auth/auth.h"

#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "component/net/echo_server.h"
#include "net/file_look.h"
#include "net/http/session.h"
#include "support/temp_dir.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kOpenSesame = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy";
constexpr const char* kOtherWord = "$2y$04$abcdefghijklmnopqrstuuZazDuc34jrqzt2fANrn92RUF/VSvllO";
constexpr const char* kAlice = "Basic YWxpY2U6b3BlbiBzZXNhbWU=";       // alice:open sesame
constexpr const char* kAliceWrong = "Basic YWxpY2U6b3BlbiBzZXNhbWU/";  // alice:open sesame?
constexpr const char* kAliceNew = "Basic YWxpY2U6b3RoZXIgd29yZA==";    // alice:other word

struct AuthServer {
  AuthServer() { options.reload_interval = 20ms; }

  void write(const std::string& name, const std::string& text) const {
    directory.write("new", text);
    std::filesystem::rename(directory.at("new"), directory.at(name));
  }
  void tokens(const std::string& text) {
    options.bearer_tokens_file = directory.at("tokens");
    write("tokens", text);
  }
  void users(const std::string& text) {
    options.htpasswd_file = directory.at("users");
    write("users", text);
  }
  void open() {
    threads.start();
    ServerOptions server_options;
    server_options.name = "echo";
    server_options.endpoint = "localhost:0";
    server_options.auth = options;
    server_options.notice = [this](std::string_view text) {
      const std::lock_guard lock(mutex);
      notices.emplace_back(text);
    };
    auto opened = Server::open(threads, std::move(server_options), handler);
    REQUIRE(opened);
    server = std::move(*opened);
  }
  std::string http(const std::string& authorization, const std::string& body = "ping") const {
    RawClient client(server->port());
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\n" +
                (authorization.empty() ? "" : "Authorization: " + authorization + "\r\n") +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.receive_responses(1);
  }
  std::string status(const std::string& authorization) const { return http(authorization).substr(9, 3); }
  H2Reply http2(const std::string& authorization, const std::string& body = "ping") const {
    H2Client client(server->port());
    Fields fields = H2Client::post("/echo");
    if (!authorization.empty()) fields.emplace_back("authorization", authorization);
    return client.call(fields, body);
  }
  std::string notice() {
    const std::lock_guard lock(mutex);
    return notices.empty() ? "" : notices.back();
  }

  TempDir directory;
  AuthOptions options;
  Echo handler;
  std::mutex mutex;
  std::vector<std::string> notices;
  IoThreads threads{2};
  std::unique_ptr<Server> server;
};

}  // namespace

TEST_CASE("a bearer token opens the door, anything else is 401 and its body is not read", "[net][auth]") {
  AuthServer f;
  f.tokens("billing: 0123456789abcdef\nfedcba9876543210\n");
  f.open();
  CHECK(f.status("Bearer 0123456789abcdef") == "200");
  CHECK(f.status("bearer fedcba9876543210") == "200");
  CHECK(f.http2("Bearer 0123456789abcdef").fields[":status"] == "200");
  const int handled = f.handler.handled;
  for (const char* wrong : {"", "Bearer 0123456789abcdeg", "Bearer 0123456789abcde", "Bearer", "Bearer,",
                            "Basic 0123456789abcdef", kAlice, "0123456789abcdef"}) {
    INFO(wrong);
    const std::string answer = f.http(wrong);
    CHECK(answer.substr(9, 3) == "401");
    CHECK(answer.find("www-authenticate: Bearer realm=\"tailgate\"\r\n") != std::string::npos);
    CHECK(f.http2(wrong).fields[":status"] == "401");
  }
  RawClient twice(f.server->port());
  twice.send(
      "POST /echo HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer 0123456789abcdef\r\n"
      "Authorization: Bearer 0123456789abcdef\r\nContent-Length: 0\r\n\r\n");
  CHECK(twice.receive_responses(1).substr(9, 3) == "401");
  CHECK(f.handler.handled == handled);
  // The answer comes before the body does.
  RawClient early(f.server->port());
  early.send("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n");
  CHECK(early.receive_responses(1).starts_with("HTTP/1.1 401"));
}

TEST_CASE("a password is checked once, off the I/O threads, and then known", "[net][auth]") {
  AuthServer f;
  f.users(std::string("alice:") + kOpenSesame + "\n");
  f.open();
  CHECK(f.http(kAlice, "").substr(9, 3) == "200");  // no body that would wake the request
  const std::string large(100'000, 'x');            // the body comes while the password is being checked
  AuthServer g;
  g.users(std::string("alice:") + kOpenSesame + "\n");
  g.open();
  CHECK(g.http(kAlice, large).find(large) != std::string::npos);
  CHECK(f.http2(kAliceWrong).fields[":status"] == "401");
  CHECK(f.status(kAlice) == "200");
  CHECK(f.http2(kAlice).fields[":status"] == "200");
  CHECK(f.http(kAliceWrong).find("www-authenticate: Basic realm=\"tailgate\"\r\n") != std::string::npos);
  CHECK(f.status("Bearer 0123456789abcdef") == "401");
  CHECK(f.status("Basic !!!!") == "401");
  CHECK(f.status("Basic Ym9iOm9wZW4gc2VzYW1l") == "401");  // bob:open sesame
}

TEST_CASE("an HTTP/2 request waits for its password, with its body or before it", "[net][auth]") {
  AuthServer f;
  f.users(std::string("alice:") + kOpenSesame + "\n");
  f.open();
  const std::string large(60'000, 'x');  // what a client takes of an answer without more windows
  CHECK(f.http2(kAlice, large).body == large);
  AuthServer g;
  g.users(std::string("alice:") + kOpenSesame + "\n");
  g.open();
  H2Client client(g.server->port());
  Fields fields = H2Client::post("/echo", {{"authorization", kAlice}});
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(client.request(fields, "ping"));
  for (const std::uint32_t id : ids) CHECK(client.wait(id).body == "ping");
  const std::uint32_t reset = client.open(H2Client::post("/echo", {{"authorization", kAliceWrong}}));
  client.send(frame(3, 0, reset, u32(8)));
  CHECK(client.call(fields, "pong").body == "pong");
}

TEST_CASE("tokens and passwords that change are in force without a restart; broken files are not", "[net][auth]") {
  AuthServer f;
  f.tokens("old: 0123456789abcdef\n");
  f.users(std::string("alice:") + kOpenSesame + "\n");
  f.open();
  CHECK(f.status("Bearer 0123456789abcdef") == "200");
  CHECK(f.status(kAlice) == "200");
  f.tokens("old: 0123456789abcdef\nnew: fedcba9876543210\n");
  CHECK(EchoServer::within(5000, [&] { return f.status("Bearer fedcba9876543210") == "200"; }));
  CHECK(f.status("Bearer 0123456789abcdef") == "200");
  f.tokens("new: fedcba9876543210\n");
  CHECK(EchoServer::within(5000, [&] { return f.status("Bearer 0123456789abcdef") == "401"; }));
  CHECK(f.status(kAlice) == "200");
  f.users(std::string("alice:") + kOtherWord + "\n");
  CHECK(EchoServer::within(5000, [&] { return f.status(kAlice) == "401"; }));
  CHECK(f.status(kAliceNew) == "200");
  f.tokens("too-short\n");
  CHECK(EchoServer::within(5000, [&] { return f.notice().find("line 1") != std::string::npos; }));
  CHECK(f.notice().find("too-short") == std::string::npos);
  CHECK(f.status("Bearer fedcba9876543210") == "200");
}

TEST_CASE("a password stays known while its user's line is as it was", "[net][auth]") {
  AuthServer f;
  const std::string alice = std::string("alice:") + kOpenSesame + "\n";
  f.users(alice);
  const auto loaded = Authenticator::load(f.options, {});
  REQUIRE(loaded);
  std::string identity;
  const auto check = [&](const char* header) { return (*loaded)->check(header, "192.0.2.1", identity); };
  TimePoint now = monotonic_now();
  const auto users = [&](const std::string& text) {
    f.users(text);
    (*loaded)->refresh(now += 1h);
  };
  CHECK(check(kAlice) == AuthVerdict::kChecking);
  CHECK(EchoServer::within(5000, [&] { return check(kAlice) == AuthVerdict::kPassed; }));
  users("# a comment\n" + alice);
  CHECK(check(kAlice) == AuthVerdict::kPassed);
  users(std::string("bob:") + kOtherWord + "\n" + alice);
  CHECK(check(kAlice) == AuthVerdict::kPassed);
  users(std::string("alice:") + kOtherWord + "\n");
  CHECK(check(kAlice) == AuthVerdict::kChecking);
  CHECK(EchoServer::within(5000, [&] { return check(kAlice) == AuthVerdict::kWrong; }));
  users(alice);
  CHECK(check(kAlice) == AuthVerdict::kChecking);
  CHECK(EchoServer::within(5000, [&] { return check(kAlice) == AuthVerdict::kPassed; }));
  users(std::string("bob:") + kOtherWord + "\n");
  CHECK(check(kAlice) == AuthVerdict::kChecking);  // a user that is gone
}

TEST_CASE("a request that waits for its password is judged by that wait alone", "[net][auth]") {
  AuthServer f;
  f.users("a:$2b$14$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n");  // a second of real time at least
  const auto loaded = Authenticator::load(f.options, {});
  REQUIRE(loaded);
  ServerLimits limits;
  limits.header_timeout = limits.body_grace = 100ms;
  const SessionContext context{f.handler, limits, nullptr, nullptr, nullptr, loaded->get()};
  const TimePoint start{};
  const auto http1 = make_http1_session(context, "192.0.2.1", start);
  const auto http2 = make_http2_session(context, "192.0.2.2", start);
  http1->feed("POST /echo HTTP/1.1\r\nHost: t\r\nAuthorization: Basic YTp4\r\nContent-Length: 4\r\n\r\n", start);
  http2->feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, "") +
                  frame(1, 4, 1, hpack(H2Client::post("/echo", {{"authorization", "Basic YTp4"}}))),
              start);
  std::string out1, out2;
  http2->take_output(out2);
  for (Duration t = 10ms; t < kPasswordWaitMax; t += 50ms) {
    http1->tick(start + t);
    http2->tick(start + t);
  }
  http1->take_output(out1);
  out2.clear();
  http2->take_output(out2);
  CHECK(http1->waiting());
  CHECK(http2->waiting());
  CHECK(out1.empty());
  CHECK(out2.empty());
  CHECK(f.handler.refused == 0);
  http1->tick(start + kPasswordWaitMax);
  http2->tick(start + kPasswordWaitMax);
  http1->take_output(out1);
  http2->take_output(out2);
  CHECK(out1.starts_with("HTTP/1.1 503"));
  CHECK_FALSE(out2.empty());
  CHECK_FALSE(http1->waiting());
  CHECK_FALSE(http2->waiting());
  CHECK(f.handler.refused == 2);
}

TEST_CASE("a request that waits for its password and finds no room to be held is told to try again", "[net][auth]") {
  AuthServer f;
  f.users("a:$2b$14$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n");
  const auto loaded = Authenticator::load(f.options, {});
  REQUIRE(loaded);
  const ServerLimits limits;
  HeldBodies held(1000);
  HeldBodies::Share large;
  REQUIRE(large.hold(held, 5000));  // the one that may be larger than the room
  const SessionContext context{f.handler, limits, nullptr, &held, nullptr, loaded->get()};
  const auto session = make_http1_session(context, "192.0.2.1", TimePoint{});
  session->feed("POST /echo HTTP/1.1\r\nHost: t\r\nAuthorization: Basic YTp4\r\nContent-Length: 5000\r\n\r\n" +
                    std::string(4000, 'x'),
                TimePoint{});
  std::string out;
  session->take_output(out);
  CHECK(out.starts_with("HTTP/1.1 503"));
  CHECK(session->closing());
  CHECK_FALSE(session->close_why());  // not counted as slow_reader
  CHECK_FALSE(session->waiting());
  CHECK(f.handler.refused == 1);
}

TEST_CASE("a file whose mode changes is looked at again", "[net][auth]") {
  AuthServer f;
  f.tokens("0123456789abcdef\n");
  const std::string before = file_stamp(f.options.bearer_tokens_file);
  CHECK(EchoServer::within(2000, [&] {  // the kernel's clock for it may stand still for 10 ms
    std::filesystem::permissions(f.options.bearer_tokens_file, std::filesystem::perms::owner_read);
    return file_stamp(f.options.bearer_tokens_file) != before;
  }));
}

TEST_CASE("credentials that could not be read for want of descriptors are read again", "[net][auth]") {
  AuthServer f;
  f.tokens("old: 0123456789abcdef\n");
  std::vector<std::string> notices;
  const auto loaded = Authenticator::load(f.options, [&](std::string_view text) { notices.emplace_back(text); });
  REQUIRE(loaded);
  TimePoint now = monotonic_now();
  f.tokens("new: fedcba9876543210\n");
  {
    const NoDescriptors none;
    for (int i = 0; i < 3; ++i) (*loaded)->refresh(now += 1s);
  }
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].find("cannot read") != std::string::npos);
  std::string identity;
  CHECK((*loaded)->check("Bearer 0123456789abcdef", "192.0.2.1", identity) == AuthVerdict::kPassed);
  (*loaded)->refresh(now += 1s);
  CHECK((*loaded)->check("Bearer 0123456789abcdef", "192.0.2.1", identity) == AuthVerdict::kWrong);
  CHECK((*loaded)->check("Bearer fedcba9876543210", "192.0.2.1", identity) == AuthVerdict::kPassed);
  (*loaded)->refresh(now += 1s);
  CHECK(notices.size() == 2);
}

TEST_CASE("guessing passwords is bounded, and those who are known are served meanwhile", "[net][auth]") {
  AuthServer f;
  const std::string costly = "a:$2b$10$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n";
  f.users(costly + "alice:" + kOpenSesame + "\n");
  const auto loaded = Authenticator::load(f.options, {});
  REQUIRE(loaded);
  std::string known;
  const auto ask_known = [&] { return (*loaded)->check(kAlice, "192.0.2.9", known); };
  CHECK(EchoServer::within(5000, [&] { return ask_known() == AuthVerdict::kPassed; }));
  const auto guess = [&](int i, const char* client) {
    const std::string digits = std::to_string(1000 + i);  // four base64 digits: three bytes behind "a:"
    std::string identity;
    return (*loaded)->check("Basic YTo6" + digits, client, identity);
  };
  int checking = 0, busy = 0;
  for (int i = 0; i < 100; ++i) {
    const AuthVerdict verdict = guess(i, "192.0.2.1");
    checking += verdict == AuthVerdict::kChecking ? 1 : 0;
    busy += verdict == AuthVerdict::kBusy ? 1 : 0;
  }
  CHECK(checking <= 4);  // two in the queue, and what was taken out meanwhile
  CHECK(busy >= 96);
  CHECK(guess(500, "192.0.2.2") == AuthVerdict::kChecking);  // another client has its turn
  int strangers = 0;
  for (int i = 0; i < 100; ++i) {
    strangers += guess(i + 1000, ("198.51.100." + std::to_string(i)).c_str()) == AuthVerdict::kChecking ? 1 : 0;
  }
  CHECK(strangers <= 18);
  CHECK(strangers >= 10);                      // of a queue of 16, three are taken
  CHECK(ask_known() == AuthVerdict::kPassed);  // at once, with the queue full
  CHECK(known == "alice");
}

TEST_CASE("credential files that do not load say why", "[net][auth]") {
  AuthServer f;
  f.tokens("short\n");
  auto loaded = Authenticator::load(f.options, {});
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().text.find("/tokens: line 1: expected a token of at least 16") != std::string::npos);
  f.options.bearer_tokens_file = "/nowhere/tokens";
  loaded = Authenticator::load(f.options, {});
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().text == "cannot read /nowhere/tokens");
  f.options.bearer_tokens_file = f.directory.path;
  CHECK_FALSE(Authenticator::load(f.options, {}));
  std::string large = "0123456789abcdef\n#";
  large.resize(1 << 20, 'x');
  f.tokens(large);
  CHECK(Authenticator::load(f.options, {}));
  f.tokens(large + "x");
  loaded = Authenticator::load(f.options, {});
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().text == f.directory.at("tokens") + ": expected at most 1 MiB");
}
