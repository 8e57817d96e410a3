// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <fstream>
#include <mutex>

#include "component/export/export_fixture.h"

namespace {
std::atomic<std::int64_t> wall_moved_s{0};
// As the daemon does, and like it before gRPC starts.
[[maybe_unused]] const int polls = ::setenv("GRPC_POLL_STRATEGY", "poll", 0);
}  // namespace

// In front of libc's: the system's clock is that much ahead. The kernel's is not, so whoever waits until a time of that
// clock waits so much longer, as when the clock is set back while he waits.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += wall_moved_s.load();
  return static_cast<int>(result);
}

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

struct GrpcAnswer {
  grpc::Status status = grpc::Status::OK;
  std::string body;  // of an OK answer
  bool hang = false;
};

struct Request {
  std::string method;
  std::string body;
  std::string header;  // x-scope
  std::string user_agent;
  std::string authorization;
};

// Answers each call with the next answer of its list, then with OK.
class GrpcBackend final : public grpc::CallbackGenericService {
 public:
  explicit GrpcBackend(std::deque<GrpcAnswer> answers, bool inflate = true,
                       const std::shared_ptr<grpc::ServerCredentials>& credentials = grpc::InsecureServerCredentials(),
                       const std::string& address = "127.0.0.1:0")
      : answers_(std::move(answers)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, credentials, &port_);
    if (!inflate) builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    builder.RegisterCallbackGenericService(this);
    server_ = builder.BuildAndStart();
  }
  ~GrpcBackend() override { server_->Shutdown(std::chrono::system_clock::now() + 100ms); }

  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<Request> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  class Reactor final : public grpc::ServerGenericBidiReactor {
   public:
    Reactor(GrpcBackend& backend, grpc::GenericCallbackServerContext* context) : backend_(backend), context_(context) {
      StartRead(&request_);
    }
    void OnReadDone(bool ok) override {
      if (!ok) return Finish(grpc::Status(grpc::StatusCode::INTERNAL, "no request"));
      grpc::Slice body;
      (void)request_.DumpToSingleSlice(&body);
      const auto& metadata = context_->client_metadata();
      const auto value = [&](const char* name) {
        const auto found = metadata.find(name);
        return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
      };
      const GrpcAnswer answer = backend_.take({context_->method(), std::string(body.begin(), body.end()),
                                               value("x-scope"), value("user-agent"), value("authorization")});
      if (answer.hang) return;  // until the client gives up
      if (!answer.status.ok()) return Finish(answer.status);
      const grpc::Slice reply(answer.body);
      response_ = grpc::ByteBuffer(&reply, 1);
      StartWriteAndFinish(&response_, {}, grpc::Status::OK);
    }
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }

   private:
    GrpcBackend& backend_;
    grpc::GenericCallbackServerContext* context_;
    grpc::ByteBuffer request_;
    grpc::ByteBuffer response_;
  };

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new Reactor(*this, context);
  }
  GrpcAnswer take(Request request) {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
    if (answers_.empty()) return {};
    GrpcAnswer answer = answers_.front();
    answers_.pop_front();
    return answer;
  }

  std::mutex mutex_;
  std::deque<GrpcAnswer> answers_;
  std::vector<Request> requests_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// A key and a certificate for "backend.test" that signs itself.
struct SelfSigned {
  std::string key;
  std::string certificate;

  SelfSigned() {
    EVP_PKEY* pair = EVP_EC_gen("P-256");
    X509* x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, pair);
    X509_NAME* name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("backend.test"), -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "DNS:backend.test");
    X509_add_ext(x, names, -1);
    X509_EXTENSION_free(names);
    REQUIRE(X509_sign(x, pair, EVP_sha256()) > 0);
    key = pem([&](BIO* out) { return PEM_write_bio_PrivateKey(out, pair, nullptr, nullptr, 0, nullptr, nullptr); });
    certificate = pem([&](BIO* out) { return PEM_write_bio_X509(out, x); });
    X509_free(x);
    EVP_PKEY_free(pair);
  }

 private:
  template <class Write>
  static std::string pem(Write write) {
    BIO* out = BIO_new(BIO_s_mem());
    REQUIRE(write(out) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out, &data);
    std::string text(data, static_cast<std::size_t>(size));
    BIO_free(out);
    return text;
  }
};

// google.rpc.Status{details: [Any{RetryInfo{retry_delay: {nanos: 50 ms}}}]}
std::string retry_info() {
  const std::string duration = "\x10\x80\xE1\xEB\x17";  // nanos = 50,000,000
  const std::string info = "\x0a" + std::string(1, static_cast<char>(duration.size())) + duration;
  const std::string type = "type.googleapis.com/google.rpc.RetryInfo";
  const std::string any = "\x0a" + std::string(1, static_cast<char>(type.size())) + type + "\x12" +
                          std::string(1, static_cast<char>(info.size())) + info;
  return "\x08\x0e\x1a" + std::string(1, static_cast<char>(any.size())) + any;
}

std::string yaml(const GrpcBackend& backend, const std::string& more = "compression: none") {
  return "otlp/test:\n  endpoint: " + backend.endpoint() +
         "\n  tls: {insecure: true}\n  headers: {X-Scope: prod}\n"
         "  retry_on_failure: {initial_interval: 10ms}\n"
         "  sending_queue: {batch: {flush_timeout: 20ms}}\n  " +
         more + "\n";
}

}  // namespace

TEST_CASE("otlp sends kept traces in one request, with headers and user agent", "[export]") {
  GrpcBackend backend({});
  Rig rig(yaml(backend, "compression: none\n  bearer_token: s3cret"));
  rig.push(kept(1, 3));
  rig.push(kept(2, 4));
  REQUIRE(rig.sent(7));
  const auto requests = backend.requests();
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].authorization == "Bearer s3cret");
  CHECK(requests[0].method == "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
  CHECK(requests[0].header == "prod");
  CHECK(requests[0].user_agent.starts_with("Tailgate/test "));
  twin::TracesData data;
  REQUIRE(data.ParseFromString(requests[0].body));
  REQUIRE(data.resource_spans_size() == 2);
  CHECK(data.resource_spans(0).scope_spans(0).spans_size() == 3);
  CHECK(data.resource_spans(1).scope_spans(0).spans_size() == 4);
}

TEST_CASE("otlp compresses with gzip unless told otherwise", "[export]") {
  GrpcBackend raw({}, false);
  Rig rig(yaml(raw, "timeout: 5s"));
  rig.push(kept(1, 50));
  REQUIRE(rig.sent(50));
  CHECK(raw.requests()[0].body.starts_with("\x1f\x8b"));

  GrpcBackend backend({});
  Rig inflated(yaml(backend, "timeout: 5s"));
  inflated.push(kept(1, 50));
  REQUIRE(inflated.sent(50));
  CHECK(backend.requests()[0].body == kept(1, 50)->otlp);
}

TEST_CASE("otlp tries again after UNAVAILABLE and loses nothing", "[export]") {
  GrpcBackend backend({{grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy"), "", false},
                       {grpc::Status(grpc::StatusCode::ABORTED, "again"), "", false}});
  Rig rig(yaml(backend));
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  CHECK(backend.requests().size() == 3);
  CHECK(rig.failures(FailReason::kUnavailable) == 2);
}

TEST_CASE("otlp retries RESOURCE_EXHAUSTED only with a RetryInfo", "[export]") {
  GrpcBackend backend({{grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "slow down", retry_info()), "", false}});
  Rig rig(yaml(backend));
  const TimePoint start = monotonic_now();
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  CHECK(monotonic_now() - start >= 50ms);
  CHECK(rig.failures(FailReason::kRefused) == 1);

  GrpcBackend other({{grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too large"), "", false}});
  Rig second(yaml(other));
  second.push(kept(1, 5));
  REQUIRE(second.settled());
  CHECK(second.failed(FailReason::kRefused) == 5);
  CHECK(other.requests().size() == 1);
}

TEST_CASE("otlp counts what is refused for good by status, without a retry", "[export]") {
  GrpcBackend backend({{grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad"), "", false},
                       {grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "who"), "", false}});
  Rig rig(yaml(backend));
  rig.push(kept(1, 5));
  REQUIRE(rig.settled());
  rig.push(kept(1, 6));
  REQUIRE(rig.settled());
  CHECK(rig.failed(FailReason::kPermanent) == 11);
  CHECK(backend.requests().size() == 2);
}

TEST_CASE("otlp reads a token in a file again, and retries the codes that also names", "[export]") {
  TempDir dir;
  std::ofstream(dir.at("token")) << "old\n";
  GrpcBackend backend({{grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "who"), "", false},
                       {grpc::Status(grpc::StatusCode::INTERNAL, "boom"), "", false},
                       {grpc::Status::OK, "no protobuf", false}});
  std::string config = yaml(backend, "bearer_token_file: " + dir.at("token"));
  config.replace(config.find("{initial_interval"), 1, "{also: [INTERNAL], ");
  Rig rig(config);
  std::ofstream(dir.at("token")) << "new\n";
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  const auto requests = backend.requests();
  REQUIRE(requests.size() == 4);
  CHECK(requests[0].authorization == "Bearer old");
  CHECK(requests[1].authorization == "Bearer new");
}

TEST_CASE("otlp counts the spans of a partial success as failed", "[export]") {
  twin::ExportTraceServiceResponse response;
  response.mutable_partial_success()->set_rejected_spans(2);
  response.mutable_partial_success()->set_error_message("too old");
  GrpcBackend backend({{grpc::Status::OK, response.SerializeAsString(), false}});
  Rig rig(yaml(backend));
  rig.push(kept(1, 5));
  REQUIRE(rig.settled());
  CHECK(rig.exporters->stats_of(0).sent_spans == 3);
  CHECK(rig.failed(FailReason::kPartial) == 2);
  CHECK(backend.requests().size() == 1);
}

TEST_CASE("otlp gives up on a hanging call after its timeout and tries again", "[export]") {
  GrpcBackend backend({{grpc::Status::OK, "", true}});
  Rig rig(yaml(backend, "timeout: 100ms"));
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  CHECK(rig.failures(FailReason::kTimeout) == 1);
}

TEST_CASE("otlp keeps several calls in flight", "[export]") {
  GrpcBackend backend({{grpc::Status::OK, "", true}, {grpc::Status::OK, "", true}});
  Rig rig(yaml(backend, "timeout: 30s"));
  rig.push(kept(1, 5));
  REQUIRE(rig.eventually([&] { return backend.requests().size() == 1; }));
  rig.push(kept(2, 6));
  REQUIRE(rig.eventually([&] { return backend.requests().size() == 2; }));
  rig.push(kept(3, 7));
  REQUIRE(rig.sent(7));  // though two hang
  CHECK(rig.exporters->stats_of(0).queued_spans == 11);
}

TEST_CASE("a drain waits for the backend until its deadline, then counts what is left", "[export]") {
  GrpcBackend slow({{grpc::Status::OK, "", true}});
  Rig rig(yaml(slow, "timeout: 30s"));
  rig.push(kept(1, 5));
  REQUIRE(rig.eventually([&] { return slow.requests().size() == 1; }));
  rig.push(kept(2, 6));
  const TimePoint start = monotonic_now();
  rig.drain(300ms);
  CHECK(monotonic_now() - start < 2s);
  CHECK(rig.exporters->stats_of(0).sent_spans == 6);
  CHECK(rig.dropped(DropReason::kShutdown) == 5);
  rig.push(kept(3, 7));
  CHECK(rig.dropped(DropReason::kShutdown) == 12);
  CHECK(rig.exporters->stats_of(0).queued_spans == 0);
}

TEST_CASE("a backend that is not there keeps the traces queued", "[export]") {
  std::string endpoint;
  {
    GrpcBackend gone({});
    endpoint = yaml(gone);
  }
  Rig rig(endpoint);
  rig.push(kept(1, 5));
  REQUIRE(rig.eventually([&] { return rig.failures(FailReason::kUnavailable) >= 1; }));
  CHECK(rig.exporters->stats_of(0).queued_spans == 5);
  rig.drain(10ms);
  CHECK(rig.dropped(DropReason::kShutdown) == 5);
}

TEST_CASE("an endpoint that gRPC does not take is an error of the start", "[export]") {
  for (const std::string endpoint : {"ipv4:backend:4317", "ipv6:[zz]:1"}) {
    CAPTURE(endpoint);
    const ConfigDocument document =
        *load_config_text("otlp: {endpoint: \"" + endpoint + "\", tls: {insecure: true}}\n", "t.yaml");
    ByteBudget budget({0, 0, 64 << 20, 0});
    const auto exporters = Exporters::make(document.root, budget, {.version = "test", .seed = 1});
    const Result<void> started = exporters->start();
    REQUIRE_FALSE(started);
    CHECK(started.error().text.find(endpoint) != std::string::npos);
  }
}

TEST_CASE("a backend that comes back gets the traces before gRPC looks at the connection by itself", "[export]") {
  auto backend = std::make_unique<GrpcBackend>(std::deque<GrpcAnswer>{});
  const std::string endpoint = backend->endpoint();
  Rig rig(yaml(*backend));
  rig.push(kept(1, 5));
  REQUIRE(rig.sent(5));
  backend = nullptr;
  rig.push(kept(2, 5));
  REQUIRE(rig.eventually([&] { return rig.failures(FailReason::kUnavailable) >= 3; }));
  const TimePoint start = monotonic_now();
  backend = std::make_unique<GrpcBackend>(std::deque<GrpcAnswer>{}, true, grpc::InsecureServerCredentials(), endpoint);
  REQUIRE(rig.sent(10));
  CHECK(monotonic_now() - start < 3s);  // gRPC looks every five seconds
}

TEST_CASE("a system clock that is set delays no batch, no timeout and no reconnect of otlp", "[export]") {
  const auto end_of = [](std::int64_t*) { wall_moved_s = 0; };
  std::int64_t moved = GENERATE(3600, -3600);
  CAPTURE(moved);
  auto backend = std::make_unique<GrpcBackend>(std::deque<GrpcAnswer>{});
  const std::string endpoint = backend->endpoint();
  Rig rig(yaml(*backend, "timeout: 200ms"));
  // Before the rig ends: gRPC sleeps by the kernel's clock, which was not moved.
  const std::unique_ptr<std::int64_t, decltype(end_of)> restore(&moved, end_of);
  rig.push(kept(1, 1));
  REQUIRE(rig.sent(1));
  wall_moved_s = moved;
  for (std::uint8_t n = 2; n <= 20; ++n) {
    const TimePoint start = monotonic_now();
    rig.push(kept(n, 1));
    REQUIRE(rig.sent(n));
    CHECK(monotonic_now() - start < 3s);  // not when the runner looks by itself
  }
  backend = nullptr;
  rig.push(kept(21, 1));
  REQUIRE(rig.eventually([&] { return rig.failures(FailReason::kUnavailable) >= 1; }));
  backend = std::make_unique<GrpcBackend>(std::deque<GrpcAnswer>{{grpc::Status::OK, "", true}}, true,
                                          grpc::InsecureServerCredentials(), endpoint);
  REQUIRE(rig.sent(21));  // the first call to the new one hangs
  CHECK(rig.failures(FailReason::kTimeout) >= 1);
}

TEST_CASE("otlp speaks TLS, checks the certificate, and does not where that is asked for", "[export]") {
  const SelfSigned self;
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({self.key, self.certificate});
  GrpcBackend backend({}, true, grpc::SslServerCredentials(options));
  TempDir dir;
  std::ofstream(dir.at("ca.pem")) << self.certificate;
  const auto rig_with = [&](const std::string& tls) {
    return "otlp:\n  endpoint: " + backend.endpoint() + "\n  tls: {" + tls +
           "}\n  retry_on_failure: {initial_interval: 10ms}\n";
  };
  Rig checked(rig_with("ca_file: " + dir.at("ca.pem") + ", server_name_override: backend.test"));
  checked.push(kept(1, 5));
  CHECK(checked.sent(5));

  Rig stranger(rig_with("server_name_override: backend.test"));
  stranger.push(kept(1, 5));
  CHECK(stranger.eventually([&] { return stranger.failures(FailReason::kUnavailable) >= 1; }));
  CHECK(stranger.exporters->stats_of(0).sent_spans == 0);

  Rig unchecked(rig_with("insecure_skip_verify: true"));
  unchecked.push(kept(1, 5));
  CHECK(unchecked.sent(5));
}
