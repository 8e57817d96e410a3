// SPDX-License-Identifier: Apache-2.0
// otlp: OTLP over gRPC. One unary call per batch to TraceService/Export, its request the kept bytes one after the
// other.
//     otlp/tempo: {endpoint: tempo:4317, tls: {insecure: true}, headers: {x-scope: prod}, timeout: 5s, compression:
//     gzip}
// Which status codes are sent again: grpc_answer.h.
//
// gRPC spreads calls over the addresses of a name, but looks the name up again only when a connection has ended, so a
// backend that is added would get nothing. While calls are made we therefore open a new channel each half minute, which
// takes over once it is connected. It shares the connections of the channel before, which gRPC keeps by address.
//
// Threads: the runner's thread polls one completion queue; gRPC's own threads resolve names and keep time. wake() rings
// an alarm on that queue.
#include <fmt/format.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>
#include <grpcpp/alarm.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <unordered_map>

#include "export/export_config.h"
#include "export/otlp/grpc_answer.h"
#include "export/otlp/response.h"
#include "export/registry.h"
#include "net/endpoint.h"
#include "net/unix_socket.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

struct GrpcOptions {
  std::string target;
  bool named = false;  // a name that is looked up
  bool tls = true;
  TlsConfig tls_config;
  std::vector<std::pair<std::string, std::string>> metadata;
  Authorization authorization;
  GrpcCodes also = 0;
  bool gzip = true;
  Duration timeout = std::chrono::seconds(5);
  std::string balancer = "round_robin";  // the Collector's default
  std::string authority;
  Duration keepalive_time = Duration::zero();  // zero: off
  Duration keepalive_timeout = std::chrono::seconds(20);
  bool keepalive_idle = false;
  Duration reconnect_max = std::chrono::seconds(5);
  bool wait_for_ready = false;
  std::string user_agent;
};

// Takes gRPC's log, which would go to standard error. Only there does gRPC say why a server ended TLS, for instance
// because it wants a client certificate; the status is "Endpoint read failed". A process has one such function, and it
// gets no argument of ours.
void on_grpc_log(gpr_log_func_args* args) {
  const std::string_view text = args->message;
  if (text.find("SSL routines") == std::string_view::npos || text.find(" alert ") == std::string_view::npos)
    return log_debug("gRPC", {{"text", text}});
  static LogLimiter limiter(std::chrono::seconds(10));
  if (const auto held = limiter.pass(monotonic_now()))
    log_warn("a backend ended TLS", {{"detail", text}, {"held_back", *held}});
}

// By the monotonic clock: gRPC would convert any other by the difference to the system's clock, which may be set.
gpr_timespec from_now(Duration d) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(d.count(), GPR_TIMESPAN));
}

// gRPC's timers sleep until a time of the system's clock. When that is set back, they end as much too late: the
// deadlines of calls, the waits before a new connection, and the looks at a connection that is being made (see watch).
// So calls are cancelled here when they are this much over their deadline, a call to a backend that cannot be reached
// does not wait to connect, and our queue polls while there is no connection.
constexpr Duration kOverdue = std::chrono::milliseconds(250);
// A watch ends with a change of the state or after so long, and is renewed: the exporter's thread wakes once a second
// while there is no connection.
constexpr Duration kWatchFor = std::chrono::seconds(1);

int whole_ms(Duration d) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(d).count();
  return static_cast<int>(std::clamp<std::int64_t>(ms, 0, INT32_MAX));
}

SendResult taken(const grpc::ByteBuffer& response) {
  grpc::Slice answer;
  if (!response.Valid() || !response.DumpToSingleSlice(&answer).ok()) return SendResult::done();
  Result<PartialSuccess> partial = read_partial_success({reinterpret_cast<const char*>(answer.begin()), answer.size()});
  if (!partial) return SendResult::retry(FailReason::kUnavailable, "gRPC status 0 OK, but " + partial.error().text);
  SendResult result = SendResult::done(partial->rejected_spans);
  result.detail = std::move(partial->message);
  return result;
}

// The kept bytes as slices. Each slice holds its trace, because gRPC may still write a request whose call has ended.
grpc::ByteBuffer request_of(const Batch& batch) {
  std::vector<grpc::Slice> slices;
  slices.reserve(batch.traces.size());
  for (const KeptTracePtr& t : batch.traces) {
    if (t->otlp.empty()) continue;
    auto* keeper = new KeptTracePtr(t);
    slices.emplace_back(
        const_cast<char*>(t->otlp.data()), t->otlp.size(), [](void* p) { delete static_cast<KeptTracePtr*>(p); },
        keeper);
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

class OtlpGrpcExporter final : public Exporter {
 public:
  explicit OtlpGrpcExporter(GrpcOptions options)
      : options_(std::move(options)), authorization_(options_.authorization) {
    // Before gRPC starts and before there are threads: its default poller makes every thread of the process pay for
    // ours, 60 % more CPU for the whole daemon as measured.
    ::setenv("GRPC_POLL_STRATEGY", "poll", 0);
    gpr_set_log_function(on_grpc_log);
  }

  ~OtlpGrpcExporter() override {
    if (queue_ == nullptr) return;
    cancel();
    alarm_.Cancel();
    stub_ = nullptr;
    channel_ = next_ = nullptr;  // ends what watches them
    queue_->Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
      if (!own(tag)) calls_.erase(static_cast<Call*>(tag)->batch->id);
    }
  }

  Result<void> start() override {
    queue_ = std::make_unique<grpc::CompletionQueue>();
    grpc::ChannelArguments& args = arguments_;
    args.SetUserAgentPrefix(options_.user_agent);
    args.SetLoadBalancingPolicyName(options_.balancer);
    // A backend that comes back should not wait for gRPC's two minutes; our own backoff is above this.
    args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, whole_ms(options_.reconnect_max / 5));
    args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, whole_ms(options_.reconnect_max));
    if (!options_.authority.empty()) args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, options_.authority);
    if (options_.keepalive_time > Duration::zero()) {
      args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, whole_ms(options_.keepalive_time));
      args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, whole_ms(options_.keepalive_timeout));
      args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, options_.keepalive_idle ? 1 : 0);
    }
    if (!options_.tls_config.server_name_override.empty()) {
      args.SetString(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, options_.tls_config.server_name_override);
    }
    credentials_ = credentials();
    use(channel());
    // A new channel is idle. One that has failed has a target that gRPC does not take, and will never change.
    if (channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE)
      return fail(ErrorKind::kConfig, fmt::format("expected an endpoint that gRPC takes, got '{}'", options_.target));
    look_up_due_ = monotonic_now() + kBackendLookUpEvery;
    return {};
  }

  void send(BatchPtr batch) override {
    static const std::string kMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    const TimePoint now = monotonic_now();
    look_up(now);
    // Our own backoff is behind this call.
    if (channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE)
      grpc::experimental::ChannelResetConnectionBackoff(channel_.get());
    watch(channel_, watched_);
    const std::uint64_t id = batch->id;
    auto call = std::make_unique<Call>();
    call->batch = std::move(batch);
    call->cancel_due = now + options_.timeout + kOverdue;
    call->context.set_deadline(from_now(options_.timeout));
    call->context.set_wait_for_ready(options_.wait_for_ready);
    if (options_.gzip) call->context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    for (const auto& [name, value] : options_.metadata) call->context.AddMetadata(name, value);
    if (!authorization_.empty()) call->context.AddMetadata("authorization", authorization_.value());
    call->reader = stub_->PrepareUnaryCall(&call->context, kMethod, request_of(*call->batch), queue_.get());
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call.get());
    calls_.emplace(id, std::move(call));
  }

  void wait(Duration timeout, std::vector<Completion>& done) override {
    gpr_timespec until = from_now(std::min(timeout, cancel_overdue(monotonic_now())));
    void* tag = nullptr;
    bool ok = false;
    while (queue_->AsyncNext(&tag, &ok, until) == grpc::CompletionQueue::GOT_EVENT) {
      // Takes what else is ready, and does not wait. With the present time as the deadline gRPC would sleep a
      // millisecond.
      until = gpr_inf_past(GPR_CLOCK_MONOTONIC);
      if (own(tag)) continue;
      const auto* call = static_cast<const Call*>(tag);
      const std::uint64_t id = call->batch->id;
      done.push_back({id, call->overdue       ? SendResult::retry(FailReason::kTimeout, "no answer within the timeout")
                          : call->status.ok() ? taken(call->response)
                                              : failure(call->status)});
      calls_.erase(id);
    }
  }

  // One ring at a time: the alarm is set again only after it came out of the queue. It is long due, so that it rings at
  // once, on this thread: gRPC rounds a time up to the next millisecond, and one that is now would wait for a timer.
  void wake() override {
    if (queue_ != nullptr && !woken_.exchange(true)) alarm_.Set(queue_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), this);
  }

  void cancel() override {
    for (auto& [id, call] : calls_) call->context.TryCancel();
  }

 private:
  using Stub = grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>;

  SendResult failure(const grpc::Status& status) {
    SendResult result =
        grpc_failure(status.error_code(), status.error_message(), status.error_details(), options_.also);
    const bool who = status.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
                     status.error_code() == grpc::StatusCode::PERMISSION_DENIED;
    if (who && authorization_.refused(monotonic_now())) result.kind = SendResult::Kind::kRetry;
    return result;
  }

  std::shared_ptr<grpc::Channel> channel() const {
    return grpc::CreateCustomChannel(options_.target, credentials_, arguments_);
  }

  // A queue of gRPC polls a channel's sockets that are opened while the queue has something on the channel. A call to a
  // backend that cannot be reached ends at once, so a new connection would be opened without it, and be looked at only
  // every five seconds, by a timer of gRPC's. The watch is something on the channel. A connection that is there stays
  // polled, so nothing needs to be watched then.
  void watch(const std::shared_ptr<grpc::Channel>& channel, bool& watched) {
    if (channel == nullptr || watched) return;
    const grpc_connectivity_state state = channel->GetState(false);
    if (state == GRPC_CHANNEL_READY) return;
    channel->NotifyOnStateChange(state, from_now(kWatchFor), queue_.get(), &watched);
    watched = true;
  }

  // True if the event is a ring or the end of a watch, and not the end of a call.
  bool own(const void* tag) {
    if (tag == this) {
      woken_.store(false);
    } else if (tag == &watched_) {
      watched_ = false;
      watch(channel_, watched_);
    } else if (tag == &next_watched_) {
      next_watched_ = false;
      watch(next_, next_watched_);
    } else {
      return false;
    }
    return true;
  }

  void use(std::shared_ptr<grpc::Channel> channel) {
    channel_ = std::move(channel);
    stub_ = std::make_unique<Stub>(channel_);
  }

  // Cancels the calls that gRPC should have ended. Returns in how long the next one is due.
  Duration cancel_overdue(TimePoint now) {
    Duration next = Duration::max();
    for (auto& [id, call] : calls_) {
      if (call->overdue) continue;
      if (now < call->cancel_due) {
        next = std::min<Duration>(next, call->cancel_due - now);
        continue;
      }
      call->overdue = true;
      call->context.TryCancel();
    }
    return next;
  }

  void look_up(TimePoint now) {
    if (!options_.named) return;
    if (now >= look_up_due_) {  // one that is still not connected is given up for another
      next_ = channel();
      next_->GetState(true);
      watch(next_, next_watched_);
      look_up_due_ = now + kBackendLookUpEvery;
    }
    if (next_ == nullptr || next_->GetState(false) != GRPC_CHANNEL_READY) return;
    use(std::exchange(next_, nullptr));  // calls in flight hold the channel they are on
  }

  std::shared_ptr<grpc::ChannelCredentials> credentials() const {
    const TlsConfig& tls = options_.tls_config;
    if (!options_.tls) return grpc::InsecureChannelCredentials();
    if (!tls.insecure_skip_verify) {
      grpc::SslCredentialsOptions ssl;
      ssl.pem_root_certs = tls.ca_pem;
      ssl.pem_cert_chain = tls.cert_pem;
      ssl.pem_private_key = tls.key_pem;
      return grpc::SslCredentials(ssl);
    }
    namespace unchecked = grpc::experimental;
    unchecked::TlsChannelCredentialsOptions any;
    any.set_verify_server_certs(false);
    any.set_check_call_host(false);
    any.set_certificate_verifier(std::make_shared<unchecked::NoOpCertificateVerifier>());
    if (!tls.cert_pem.empty()) {
      any.set_certificate_provider(std::make_shared<unchecked::StaticDataCertificateProvider>(
          std::vector{unchecked::IdentityKeyCertPair{tls.key_pem, tls.cert_pem}}));
      any.watch_identity_key_cert_pairs();
    }
    return unchecked::TlsCredentials(any);
  }

  struct Call {
    BatchPtr batch;
    TimePoint cancel_due{};
    bool overdue = false;  // it was cancelled for that
    grpc::ClientContext context;
    grpc::ByteBuffer response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
  };

  const GrpcOptions options_;
  Authorization authorization_;
  std::unique_ptr<grpc::CompletionQueue> queue_;
  grpc::ChannelArguments arguments_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
  std::shared_ptr<grpc::Channel> next_;  // of a name that is looked up again; null: none is being connected
  TimePoint look_up_due_{};
  bool watched_ = false;  // channel_'s state, on queue_
  bool next_watched_ = false;
  grpc::Alarm alarm_;
  std::atomic<bool> woken_{false};
  std::unordered_map<std::uint64_t, std::unique_ptr<Call>> calls_;
};

// host:port; http:// and https:// say whether there is TLS; dns:, ipv4:, ipv6:, unix:// and unix: go to gRPC as they
// are.
void read_endpoint(const ConfigNode& node, const std::string& given, GrpcOptions& options, std::string& shown) {
  const std::string endpoint = given.empty() ? node.text("endpoint") : given;
  std::string rest = endpoint;
  options.tls = !options.tls_config.insecure;
  const auto take = [&](std::string_view scheme) {
    if (!rest.starts_with(scheme)) return false;
    rest.erase(0, scheme.size());
    while (rest.ends_with('/')) rest.pop_back();
    return true;
  };
  if (take("http://")) {
    options.tls = false;
  } else if (take("https://")) {
    options.tls = true;
  } else if (rest.starts_with(kUnixScheme)) {
    // A file has no name to verify: TLS only where its settings are.
    if (!node.has("tls")) options.tls = false;
    const std::string fault = unix_path_fault(rest.substr(kUnixScheme.size()));
    if (!fault.empty()) return node.error("endpoint", fault);
    options.target = shown = rest;
    return;
  } else if (rest.starts_with("unix:")) {
    options.target = rest;
    return;
  }
  options.target = rest;
  for (const std::string_view scheme : {"dns:///", "dns://", "ipv4:", "ipv6:"}) {
    if (take(scheme)) break;
  }
  if (const std::size_t slash = rest.rfind('/'); slash != std::string::npos) rest.erase(0, slash + 1);
  shown = rest;
  const auto host_port = split_host_port(rest);
  if (!host_port) return node.error("endpoint", "expected host:port");
  const std::string& host = host_port->first;
  options.named = host.find_first_not_of("0123456789.") != std::string::npos && host.find(':') == std::string::npos;
}

void read_metadata(const ConfigNode& node, GrpcOptions& options) {
  std::vector<std::pair<std::string, std::string>> headers = read_headers(node);
  options.authorization = read_bearer_token(node, headers);
  options.also = read_also_codes(node);
  for (auto& [name, value] : headers) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    const auto slice = [](const std::string& s) { return grpc_slice_from_static_buffer(s.data(), s.size()); };
    // gRPC ends the process over metadata it does not like.
    const bool reserved = lower.starts_with("grpc-") || lower == "te" || lower == "content-type" || lower == "host";
    const bool binary = lower.ends_with("-bin");
    if (reserved || grpc_header_key_is_legal(slice(lower)) == 0 ||
        (!binary && grpc_header_nonbin_value_is_legal(slice(value)) == 0)) {
      node.child("headers").error(fmt::format("expected headers gRPC can send, not '{}'", name));
    } else {
      options.metadata.emplace_back(std::move(lower), std::move(value));
    }
  }
}

}  // namespace

ExporterParts read_otlp_grpc_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  GrpcOptions options;
  options.user_agent = defaults.user_agent;
  options.tls_config = read_tls(node);
  read_endpoint(node, defaults.endpoint, options, parts.endpoint);
  read_metadata(node, options);
  options.metadata.insert(options.metadata.end(), defaults.headers.begin(), defaults.headers.end());
  options.gzip = (defaults.gzip || node.has("compression")) && read_compression(node, false) == Compression::kGzip;
  options.timeout = node.duration("timeout", options.timeout, std::chrono::milliseconds(1));
  options.balancer = node.choice("balancer_name", "round_robin", {"round_robin", "pick_first"});
  options.authority = node.text("authority");
  options.wait_for_ready = node.boolean("wait_for_ready", defaults.wait_for_ready);
  options.reconnect_max = defaults.reconnect_max;
  const ConfigNode keepalive = node.child("keepalive");
  options.keepalive_time = keepalive.duration("time", options.keepalive_time);
  options.keepalive_timeout = keepalive.duration("timeout", options.keepalive_timeout);
  options.keepalive_idle = keepalive.boolean("permit_without_stream", false);
  keepalive.finish();
  if (!node.child("auth").is_null())
    node.child("auth").error("expected `headers` instead: auth extensions do not exist here");
  node.without_effect({"read_buffer_size", "write_buffer_size", "middlewares"});
  parts.queue = defaults.queue;
  parts.queue.bytes_max = defaults.queue_bytes_max;
  read_queue(node, parts.queue);
  if (!options.target.empty()) parts.exporter = std::make_unique<OtlpGrpcExporter>(std::move(options));
  return parts;
}

}  // namespace tailgate
