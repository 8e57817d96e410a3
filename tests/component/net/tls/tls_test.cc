// SPDX-License-Identifier: Apache-2.0
#include "net/tls/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "component/net/echo_server.h"
#include "support/temp_dir.h"

using namespace tailgate;
using namespace tailgate::test;
using namespace std::chrono_literals;

namespace {

struct Key {
  Key() : key(EVP_EC_gen("P-256"), EVP_PKEY_free) {}
  std::shared_ptr<EVP_PKEY> key;
};

struct Certificate : Key {
  // Signed by `issuer`, or by itself.
  Certificate(const std::string& name, const std::string& san, const Certificate* issuer, long seconds = 3600)
      : x509(X509_new(), X509_free) {
    X509* const c = x509.get();
    X509_set_version(c, 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c), -7200);
    X509_gmtime_adj(X509_getm_notAfter(c), seconds);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(issuer != nullptr ? issuer->x509.get() : c));
    X509_set_pubkey(c, key.get());
    add(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    if (!san.empty()) add(NID_subject_alt_name, san);
    REQUIRE(X509_sign(c, issuer != nullptr ? issuer->key.get() : key.get(), EVP_sha256()) != 0);
  }
  void add(int nid, const std::string& value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(x509.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  void write(const std::string& cert_file, const std::string& key_file) const {
    FILE* out = std::fopen(cert_file.c_str(), "w");
    PEM_write_X509(out, x509.get());
    std::fclose(out);
    if (key_file.empty()) return;
    out = std::fopen(key_file.c_str(), "w");
    PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(out);
  }
  std::shared_ptr<X509> x509;
};

struct TlsServer {
  TlsServer() : ca("ca", "", nullptr), server_certificate("server", "DNS:localhost", &ca) {
    server_certificate.write(files.at("cert"), files.at("key"));
    ca.write(files.at("ca"), "");
    options.cert_file = files.at("cert");
    options.key_file = files.at("key");
    options.reload_interval = 20ms;
  }
  void open() {
    threads.start();
    ServerOptions server_options;
    server_options.name = "tls";
    server_options.endpoint = "127.0.0.1:0";
    server_options.limits.header_timeout = 2s;
    server_options.limits.tls_handshakes = handshakes;
    server_options.limits.client.connections = client_connections;
    server_options.auth = auth;
    server_options.budget = budget ? &*budget : nullptr;
    server_options.tls = options;
    server_options.notice = [this](std::string_view text) {
      const std::lock_guard lock(mutex);
      notices.emplace_back(text);
    };
    auto opened = Server::open(threads, std::move(server_options), handler);
    REQUIRE(opened);
    server = std::move(*opened);
  }
  std::uint64_t refused() const { return server->stats().closed[static_cast<std::size_t>(CloseWhy::kTls)]; }
  std::size_t noticed() {
    const std::lock_guard lock(mutex);
    return notices.size();
  }

  TempDir files;
  Certificate ca, server_certificate;
  TlsOptions options;
  std::optional<AuthOptions> auth;
  std::size_t handshakes = 512, client_connections = 0;
  std::optional<ByteBudget> budget;
  IoThreads threads{2};
  Echo handler;
  std::mutex mutex;
  std::vector<std::string> notices;
  std::unique_ptr<Server> server;
};

// One HTTP/1.1 request over TLS. Empty when the handshake or the exchange failed.
struct Exchange {
  std::string answer;
  std::string alpn;
  std::string served_by;  // serial number of the server's certificate
  bool resumed = false;
};
using TlsSession = std::shared_ptr<SSL_SESSION>;
Exchange talk(const TlsServer& f, const Certificate* client = nullptr, int version = 0,
              const char* alpn = "\x08http/1.1", std::size_t body = 5, TlsSession* session = nullptr) {
  ::signal(SIGPIPE, SIG_IGN);  // SSL_write() to a server that has hung up
  Exchange out;
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_load_verify_file(context.get(), f.files.at("ca").c_str());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (version != 0) SSL_CTX_set_max_proto_version(context.get(), version);
  if (client != nullptr) {
    SSL_CTX_use_certificate(context.get(), client->x509.get());
    SSL_CTX_use_PrivateKey(context.get(), client->key.get());
  }
  const std::shared_ptr<SSL> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn),
                      static_cast<unsigned>(std::strlen(alpn)));
  SSL_set1_host(ssl.get(), "localhost");
  RawClient tcp(f.server->port());
  REQUIRE(tcp.connected());
  timeval limit{5, 0};
  ::setsockopt(tcp.fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  SSL_set_fd(ssl.get(), tcp.fd());
  if (session != nullptr && *session != nullptr) SSL_set_session(ssl.get(), session->get());
  if (SSL_connect(ssl.get()) != 1) return out;
  out.resumed = SSL_session_reused(ssl.get()) == 1;
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl.get(), &protocol, &size);
  out.alpn.assign(reinterpret_cast<const char*>(protocol), size);
  const std::shared_ptr<X509> shown(SSL_get1_peer_certificate(ssl.get()), X509_free);
  out.served_by = std::to_string(ASN1_INTEGER_get(X509_get0_serialNumber(shown.get())));
  const std::string request =
      "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: " + std::to_string(body) + "\r\n\r\n" +
      std::string(body, 'b');
  for (std::size_t at = 0; at < request.size();) {
    const int n = SSL_write(ssl.get(), request.data() + at,
                            static_cast<int>(std::min<std::size_t>(request.size() - at, 1 << 16)));
    if (n <= 0) return out;
    at += static_cast<std::size_t>(n);
  }
  char buffer[65536];
  for (int n = 0; (n = SSL_read(ssl.get(), buffer, sizeof buffer)) > 0;)
    out.answer.append(buffer, static_cast<std::size_t>(n));
  // The end is said, not just cut off.
  if (SSL_get_error(ssl.get(), 0) != SSL_ERROR_ZERO_RETURN &&
      (SSL_get_shutdown(ssl.get()) & SSL_RECEIVED_SHUTDOWN) == 0)
    out.answer.clear();
  if (session != nullptr)
    *session = {SSL_get1_session(ssl.get()), SSL_SESSION_free};  // its ticket came with the answer
  SSL_shutdown(ssl.get());  // OpenSSL resumes no session of a connection that was dropped without a word
  return out;
}

bool served(const Exchange& exchange) { return exchange.answer.starts_with("HTTP/1.1 200"); }

}  // namespace

TEST_CASE("HTTP goes over TLS 1.2 and 1.3, chosen by ALPN", "[net]") {
  TlsServer f;
  f.open();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Exchange exchange = talk(f, nullptr, version);
    CHECK(served(exchange));
    CHECK(exchange.alpn == "http/1.1");
  }
  const Exchange large = talk(f, nullptr, 0, "\x08http/1.1", 3'000'000);
  CHECK(served(large));
  CHECK(large.answer.size() > 3'000'000);
  CHECK(talk(f, nullptr, 0, "\x02h2\x08http/1.1").alpn == "h2");
  CHECK(talk(f, nullptr, 0, "\x04spdy").answer.empty());
  CHECK(talk(f, nullptr, TLS1_1_VERSION).answer.empty());
}

TEST_CASE("who speaks no TLS is closed and counted, and others are served", "[net]") {
  TlsServer f;
  f.open();
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01\x40\x00", 5) + std::string(20'000, 'x')}) {
    RawClient client(f.server->port());
    client.send(bytes);
    for (int i = 0; i < 50 && !client.closed(); ++i) client.receive(100);
    CHECK(client.closed());
  }
  for (int i = 0; i < 100 && f.refused() != 2; ++i) std::this_thread::sleep_for(20ms);  // counted after the close
  CHECK(f.refused() == 2);
  RawClient silent(f.server->port());
  CHECK(served(talk(f)));
  for (int i = 0; i < 50 && !silent.closed(); ++i) silent.receive(100);
  CHECK(silent.closed());  // the header timeout counts from the first byte that does not come
}

TEST_CASE("mTLS: only certificates of the CA, and of them only listed names", "[net]") {
  TlsServer f;
  f.options.client_ca_file = f.files.at("ca");
  f.options.client_sans = {"agent.example.com", "10.1.2.3"};
  f.open();
  const Certificate good("agent", "DNS:agent.example.com", &f.ca);
  const Certificate by_address("agent", "IP:10.1.2.3,DNS:other", &f.ca);
  const Certificate other("agent", "DNS:other.example.com", &f.ca);
  const Certificate foreign_ca("ca2", "", nullptr);
  const Certificate foreign("agent", "DNS:agent.example.com", &foreign_ca);
  CHECK(served(talk(f, &good)));
  CHECK(served(talk(f, &by_address)));
  const Certificate expired("agent", "DNS:agent.example.com", &f.ca, -60);
  CHECK_FALSE(served(talk(f, &expired)));
  CHECK_FALSE(served(talk(f, &other)));
  CHECK_FALSE(served(talk(f, &foreign)));
  CHECK_FALSE(served(talk(f)));
}

TEST_CASE("mTLS: host names are compared without case, also in mail addresses, and nothing else is", "[net]") {
  TlsServer f;
  f.options.client_ca_file = f.files.at("ca");
  f.options.client_sans = {"Agent.example.com", "Ann@Example.com", "spiffe://Example/a"};
  f.open();
  const std::pair<const char*, bool> rows[] = {
      {"DNS:agent.EXAMPLE.com", true},  {"email:Ann@eXample.com", true},   {"email:ann@example.com", false},
      {"URI:spiffe://Example/a", true}, {"URI:spiffe://example/a", false},
  };
  for (const auto& [name, taken] : rows) {
    INFO(name);
    const Certificate agent("agent", name, &f.ca);
    CHECK(served(talk(f, &agent)) == taken);
  }
}

TEST_CASE("mTLS: no session is resumed, so each connection shows its certificate", "[net]") {
  for (const bool mtls : {false, true}) {
    TlsServer f;
    if (mtls) f.options.client_ca_file = f.files.at("ca");
    f.open();
    const Certificate agent("agent", "DNS:agent.example.com", &f.ca);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      INFO(mtls << " " << version);
      TlsSession session;
      CHECK(served(talk(f, &agent, version, "\x08http/1.1", 5, &session)));
      REQUIRE(session != nullptr);
      CHECK(SSL_SESSION_has_ticket(session.get()) == (mtls ? 0 : 1));
      const Exchange again = talk(f, &agent, version, "\x08http/1.1", 5, &session);
      CHECK(served(again));
      CHECK(again.resumed == !mtls);  // so the client does all that resuming takes, and it is the server that does not
      const Exchange without = talk(f, nullptr, version, "\x08http/1.1", 5, &session);
      CHECK(served(without) == !mtls);
    }
  }
}

TEST_CASE("who says goodbye behind a request that waits for its password has its answer", "[net][auth]") {
  TlsServer f;
  std::ofstream(f.files.at("users")) << "alice:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n";
  f.auth = AuthOptions{"", f.files.at("users"), 10s};
  f.open();
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::shared_ptr<SSL> ssl(SSL_new(context.get()), SSL_free);
  RawClient tcp(f.server->port());
  SSL_set_fd(ssl.get(), tcp.fd());
  REQUIRE(SSL_connect(ssl.get()) == 1);
  const std::string request =
      "POST /echo HTTP/1.1\r\nhost: x\r\nauthorization: Basic YWxpY2U6b3BlbiBzZXNhbWU=\r\ncontent-length: "
      "4\r\n\r\nping";
  int held = 1;  // so that request and close_notify come in one read
  ::setsockopt(tcp.fd(), IPPROTO_TCP, TCP_CORK, &held, sizeof held);
  REQUIRE(SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())) > 0);
  SSL_shutdown(ssl.get());
  held = 0;
  ::setsockopt(tcp.fd(), IPPROTO_TCP, TCP_CORK, &held, sizeof held);
  std::string answer;
  char buffer[4096];
  for (int n = 0; (n = SSL_read(ssl.get(), buffer, sizeof buffer)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(n));
  CHECK(answer.starts_with("HTTP/1.1 200"));
  CHECK(answer.ends_with("ping"));
}

TEST_CASE("certificates that change serve new connections; broken ones do not", "[net]") {
  TlsServer f;
  f.open();
  const std::string before = talk(f).served_by;
  const Certificate next("server", "DNS:localhost", &f.ca);
  next.write(f.files.at("cert.new"), f.files.at("key"));
  std::filesystem::rename(f.files.at("cert.new"), f.files.at("cert"));
  std::string after;
  for (int i = 0; i < 100 && (after.empty() || after == before); ++i) {
    std::this_thread::sleep_for(20ms);
    after = talk(f).served_by;
  }
  CHECK(after != before);
  const std::size_t noticed = f.noticed();
  std::ofstream(f.files.at("cert")) << "no certificate";
  for (int i = 0; i < 100 && f.noticed() == noticed; ++i) std::this_thread::sleep_for(20ms);
  CHECK(f.noticed() == noticed + 1);
  CHECK(talk(f).served_by == after);
}

TEST_CASE("certificates that could not be read for want of descriptors are read again", "[net]") {
  const TlsServer f;
  std::vector<std::string> notices;
  const auto loaded = TlsContext::load(f.options, [&](std::string_view text) { notices.emplace_back(text); });
  REQUIRE(loaded);
  const auto before = (*loaded)->context();
  TimePoint now = monotonic_now();
  Certificate("server", "DNS:localhost", &f.ca).write(f.files.at("cert"), f.files.at("key"));
  {
    const NoDescriptors none;
    for (int i = 0; i < 3; ++i) (*loaded)->refresh(now += 1s);
  }
  CHECK(notices.size() == 1);
  CHECK((*loaded)->context() == before);
  (*loaded)->refresh(now += 1s);
  CHECK(notices.size() == 2);
  const auto after = (*loaded)->context();
  CHECK(after != before);
  (*loaded)->refresh(now += 1s);
  CHECK((*loaded)->context() == after);
}

TEST_CASE("TLS files that do not load say why", "[net]") {
  TlsServer f;
  const auto why = [&] {
    const auto loaded = TlsContext::load(f.options, {});
    return loaded ? std::string() : loaded.error().text;
  };
  CHECK(why().empty());
  f.options.key_file = f.files.at("nothing");
  CHECK(why().find("nothing") != std::string::npos);
  const Certificate other("other", "", &f.ca);
  other.write(f.files.at("other"), f.files.at("other-key"));
  f.options.key_file = f.files.at("other-key");
  CHECK(why().find("key values mismatch") != std::string::npos);
}

TEST_CASE("handshakes begun and not ended are bounded, time out, and keep nobody out", "[net][hostile]") {
  TlsServer f;
  f.handshakes = 10;  // five a thread
  f.open();
  const std::string hello("\x16\x03\x01\x02\x00\x01", 6);  // 512 bytes of ClientHello are to follow
  std::vector<std::unique_ptr<RawClient>> open;
  for (int i = 0; i < 40; ++i) {
    open.push_back(std::make_unique<RawClient>(f.server->port()));
    open.back()->send(hello);
    if (i % 8 == 0) CHECK(served(talk(f)));
  }
  const auto count = [&](CloseWhy why) { return f.server->stats().closed[static_cast<std::size_t>(why)]; };
  CHECK(EchoServer::within(2000, [&] { return count(CloseWhy::kHandshakes) >= 30; }));
  CHECK(served(talk(f)));
  // The rest comes byte by byte, and is closed by the time limit.
  const auto trickle = [&] {
    for (const auto& one : open) one->send(std::string(1, '\0'));
    return f.server->stats().connections == 0;
  };
  CHECK(EchoServer::within(6000, trickle));
  CHECK(count(CloseWhy::kHeaderTimeout) > 0);
  CHECK(served(talk(f)));
}

TEST_CASE("connections over TLS have room of their own, and those that say nothing keep nobody out", "[net][hostile]") {
  TlsServer f;
  f.budget.emplace(ByteBudget::Caps{1 << 20, 0, 0, 0, 20 * kTlsStateBytes});  // ten a thread, ten an address
  f.open();
  const auto used = [&] { return f.budget->used(Holder::kConnections); };
  const auto count = [&](CloseWhy why) { return f.server->stats().closed[static_cast<std::size_t>(why)]; };
  const std::string hello("\x16\x03\x01\x02\x00\x01", 6);
  std::vector<std::unique_ptr<RawClient>> open;
  for (std::uint32_t i = 0; i < 60; ++i) {
    open.push_back(std::make_unique<RawClient>(f.server->port(), 2 + i % 6));
    open.back()->send(hello);
    if (i % 8 == 0) CHECK(served(talk(f)));
  }
  CHECK(EchoServer::within(2000, [&] { return used() == 20 * kTlsStateBytes; }));
  CHECK(EchoServer::within(2000, [&] { return count(CloseWhy::kMemory) >= 40; }));
  CHECK(served(talk(f)));
  for (std::uint32_t i = 0; i < 15; ++i) open.push_back(std::make_unique<RawClient>(f.server->port(), 99));
  CHECK(EchoServer::within(2000, [&] { return count(CloseWhy::kAddress) == 5; }));
  open.clear();
  CHECK(EchoServer::within(2000, [&] { return used() == 0; }));
}

TEST_CASE("connections over TLS that begin one more request and do not go on keep nobody out", "[net][hostile]") {
  TlsServer f;
  f.budget.emplace(ByteBudget::Caps{1 << 20, 0, 0, 0, 20 * kTlsStateBytes});  // ten a thread
  f.open();
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  struct Held {
    std::unique_ptr<RawClient> tcp;
    std::shared_ptr<SSL> ssl;
  };
  std::vector<Held> held;
  const std::string_view request = "GET /echo HTTP/1.1\r\nHost: t\r\n\r\n";
  for (std::uint32_t i = 0; i < 40; ++i) {
    Held one{std::make_unique<RawClient>(f.server->port(), 2 + i % 8), {SSL_new(context.get()), SSL_free}};
    SSL_set_fd(one.ssl.get(), one.tcp->fd());
    timeval limit{5, 0};
    ::setsockopt(one.tcp->fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    REQUIRE(SSL_connect(one.ssl.get()) == 1);
    SSL_write(one.ssl.get(), request.data(), static_cast<int>(request.size()));
    char buffer[1000];
    REQUIRE(SSL_read(one.ssl.get(), buffer, sizeof buffer) > 0);
    SSL_write(one.ssl.get(), "G", 1);
    held.push_back(std::move(one));
  }
  CHECK(served(talk(f)));
  CHECK(f.server->stats().closed[static_cast<std::size_t>(CloseWhy::kMemory)] >= 20);
}

TEST_CASE("a handshake takes no more than it needs", "[net][hostile]") {
  TlsServer f;
  f.open();
  RawClient client(f.server->port());
  // A ClientHello of 131,000 bytes, in records of 16,000.
  std::string hello("\x01\x01\xFF\xB8", 4);
  hello.resize(4 + 131'000, '\x03');
  for (std::size_t at = 0; at < 48'000; at += 16'000)
    client.send(std::string("\x16\x03\x01\x3E\x80", 5) + hello.substr(at, 16'000));
  client.receive_all(1000);
  CHECK(client.closed());
  CHECK(EchoServer::within(2000, [&] { return f.refused() == 1; }));
  CHECK(served(talk(f)));
}

namespace {

// A client of TlsFilter without sockets: what it says arrives in pieces of `piece` bytes.
struct Pieces {
  Pieces(const TlsServer& f, std::size_t piece_bytes) : piece(piece_bytes), server(TlsContext::load(f.options, {})) {
    REQUIRE(server);
    filter = std::make_unique<TlsFilter>(**server);
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl.get());
  }
  std::string flight() const {
    std::string bytes(BIO_ctrl_pending(SSL_get_wbio(ssl.get())), '\0');
    if (!bytes.empty()) BIO_read(SSL_get_wbio(ssl.get()), bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  // What the filter answers goes to the client.
  bool pass(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const bool good = filter->decrypt(std::string_view(bytes).substr(at, piece), plain);
      std::string out;
      filter->take_encrypted(out);
      if (!out.empty()) BIO_write(SSL_get_rbio(ssl.get()), out.data(), static_cast<int>(out.size()));
      if (!good) return false;
    }
    return true;
  }
  bool shake_hands() {
    for (int i = 0; i < 4 && SSL_do_handshake(ssl.get()) != 1; ++i) {
      if (!pass(flight())) return false;
    }
    return pass(flight()) && filter->established();
  }

  const std::size_t piece;
  const Result<std::shared_ptr<TlsContext>> server;  // outlives its filters
  const std::shared_ptr<SSL_CTX> context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  const std::shared_ptr<SSL> ssl{SSL_new(context.get()), SSL_free};
  std::unique_ptr<TlsFilter> filter;
  std::string plain;
};

}  // namespace

TEST_CASE("TLS records come in pieces of any size", "[net]") {
  const TlsServer f;
  std::string said(50'000, '\0');
  for (std::size_t i = 0; i < said.size(); ++i) said[i] = static_cast<char>(i * 7 + i / 251);
  for (const std::size_t piece :
       std::initializer_list<std::size_t>{1, 2, 3, 4, 5, 6, 7, 100, 1'000, 16'384, 16'406, 16'407, 100'000}) {
    INFO(piece);
    Pieces p(f, piece);
    REQUIRE(p.shake_hands());
    SSL_write(p.ssl.get(), said.data(), static_cast<int>(said.size()));
    for (int i = 0; i < 20; ++i) SSL_write(p.ssl.get(), "abc", 3);
    REQUIRE(p.pass(p.flight()));
    std::string expected = said;
    for (int i = 0; i < 20; ++i) expected += "abc";
    CHECK(p.plain == expected);
    REQUIRE(p.filter->encrypt("answer"));
    std::string out;
    p.filter->take_encrypted(out);
    BIO_write(SSL_get_rbio(p.ssl.get()), out.data(), static_cast<int>(out.size()));
    char answer[100];
    CHECK(SSL_read(p.ssl.get(), answer, sizeof answer) == 6);
    CHECK_FALSE(p.filter->peer_done());
    SSL_shutdown(p.ssl.get());
    CHECK(p.pass(p.flight()));
    CHECK(p.filter->peer_done());
  }
}

TEST_CASE("what is no TLS record is refused at the byte that says so", "[net][hostile]") {
  const TlsServer f;
  struct Case {
    std::string bytes;
    std::size_t refused_at;  // the byte
  };
  const Case cases[] = {{"GET / HTTP/1.1\r\n\r\n", 0},
                        {std::string("\x80\x2e\x01\x03\x03\x00\x15", 7), 0},  // SSL 2.0's ClientHello
                        {"\x16\x02\x01\x01\x01", 1},
                        {"\x16\x03\x01\x48\x01", 4}};  // 18,433 bytes
  for (const Case& c : cases) {
    Pieces p(f, 1);
    for (std::size_t i = 0; i < c.refused_at; ++i) CHECK(p.pass(c.bytes.substr(i, 1)));
    CHECK_FALSE(p.pass(c.bytes.substr(c.refused_at, 1)));
    CHECK_FALSE(Pieces(f, c.bytes.size()).pass(c.bytes));
  }
}

TEST_CASE("a request with garbage behind it is not taken: its sender may not be known yet", "[net][hostile]") {
  TlsServer f;
  f.open();
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::shared_ptr<SSL> ssl(SSL_new(context.get()), SSL_free);
  RawClient tcp(f.server->port());
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_set_connect_state(ssl.get());
  const auto flight = [&] {
    std::string bytes(64 << 10, '\0');
    const int n = BIO_read(out, bytes.data(), static_cast<int>(bytes.size()));
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  };
  while (SSL_do_handshake(ssl.get()) != 1) {
    if (const std::string bytes = flight(); !bytes.empty()) tcp.send(bytes);
    const std::string got = tcp.receive(2000);
    REQUIRE_FALSE(got.empty());
    BIO_write(in, got.data(), static_cast<int>(got.size()));
  }
  const std::string_view request = "GET /echo HTTP/1.1\r\nHost: t\r\n\r\n";
  SSL_write(ssl.get(), request.data(), static_cast<int>(request.size()));
  tcp.send(flight() + std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  CHECK(EchoServer::within(2000, [&] { return f.refused() == 1; }));
  CHECK(f.handler.handled == 0);
}

TEST_CASE("a connection that lingers keeps nothing of TLS", "[net]") {
  TlsServer f;
  f.budget.emplace(ByteBudget::Caps{1 << 20, 0, 0, 0, 15 * kTlsStateBytes});
  f.open();
  const auto used = [&] { return f.budget->used(Holder::kConnections); };
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::shared_ptr<SSL> ssl(SSL_new(context.get()), SSL_free);
  RawClient tcp(f.server->port());
  SSL_set_fd(ssl.get(), tcp.fd());
  REQUIRE(SSL_connect(ssl.get()) == 1);
  CHECK(used() == kTlsStateBytes);
  const std::string_view request = "GET /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
  SSL_write(ssl.get(), request.data(), static_cast<int>(request.size()));
  CHECK(EchoServer::within(2000, [&] { return used() == 0; }));
  CHECK(f.server->stats().connections == 1);
}

TEST_CASE("a client's certificate names it, and credentials are wanted beside it", "[net][auth]") {
  TlsServer f;
  f.options.client_ca_file = f.files.at("ca");
  std::ofstream(f.files.at("tokens")) << "agent: 0123456789abcdef\n";
  f.auth = AuthOptions{f.files.at("tokens"), "", 10s};
  f.open();
  const Certificate agent("agent", "DNS:agent.example.com", &f.ca);
  CHECK(talk(f, &agent).answer.starts_with("HTTP/1.1 401"));  // a certificate alone is not enough
  CHECK(talk(f).answer.empty());
}
