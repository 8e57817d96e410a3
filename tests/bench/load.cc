// SPDX-License-Identifier: Apache-2.0
// The load test: starts the daemon, sends traffic whose outcome is known, takes what the daemon forwards, and says what
// it cost and whether it was right. One process: the sender on the main thread, the sink on a thread of its own.
//
//   load --daemon build/bench/tailgate [--shape large|small|mixed] [--names N] [--calls] [--like-sdk] [--traces N]
//        [--order forward|backward] [--rate SPANS_PER_S] [--burst 0ms] [--seconds N] [--wait 5s] [--policies N]
//        [--memory 12GiB] [--connections 4] [--in-flight 4] [--overload] [--tls] [--gzip] [--keep-all] [--exporters N]
//        [--beside store|file] [--ids N] [--set KEY=VALUE]...
//
// Without --rate it saturates. --burst sends what is due at once, that often, so that wake-ups can be told from work.
// With --gzip the sender compresses as SDKs do, by zlib at level 6, which costs it some 15 CPU seconds per GB: its core
// is full long before the daemon's, so compare with a plain run at the same --rate. --traces: how many traces a
// request has; `large` has 8, with 10 spans of each. --beside adds an exporter that writes to the run's folder, which
// goes with it; `--exporters 0` leaves only that one. Loads with another --ids have other trace ids. --overload expects
// refusals and does not compare the kept set. Exit code 1 if a check fails.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <regex>
#include <thread>

#include "base/hash.h"
#include "base/units.h"
#include "codec/protobuf.h"
#include "h2_client.h"
#include "net/http/grpc.h"
#include "net/io_threads.h"
#include "net/server/server.h"
#include "support/gzip.h"
#include "traffic.h"

using namespace tailgate;
using namespace tailgate::bench;
using namespace std::chrono_literals;

namespace {

struct Options {
  std::string daemon;
  std::uint64_t run = 20'260'101;
  Shape shape = kLarge;
  FieldOrder order = FieldOrder::kForward;
  double rate = 0;
  Duration burst{};
  int seconds = 20;
  std::string wait = "5s", memory = "12GiB";
  std::size_t connections = 4, in_flight = 4;
  int policies = 0;  // beside the four
  bool overload = false;
  bool gzip = false;
  bool tls = false;       // the sender speaks TLS to the daemon, with a certificate made for the run
  int exporters = 1;      // all to the same sink, each gets everything
  bool durable = false;   // their queue is on disk, in the run's folder
  bool keep_all = false;  // always_sample instead of the four
  std::string beside;     // `store` or `file`
  std::vector<std::string> set;
};

struct IdHash {
  std::size_t operator()(const TraceId& id) const { return hash_bytes(id.view(), 1); }
};

// Counts spans by trace, reading nothing but ids.
class Sink final : public Handler {
 public:
  Admission admit(const RequestHead&) override {
    Admission admission;
    admission.grpc = true;
    return admission;
  }
  void handle(const RequestHead&, BodyBuffer& body, Response& response) override {
    const ByteView bytes = body.view().substr(5);
    each(bytes, 1, [&](ByteView resource) {
      each(resource, 2,
           [&](ByteView scope) { each(scope, 2, [&](ByteView span) { ++spans_[TraceId::from(span.data() + 2)]; }); });
    });
    response.headers.emplace_back("content-type", "application/grpc");
    response.body.assign(5, '\0');
    response.trailers.emplace_back("grpc-status", "0");
  }
  Response refuse(const RequestHead&, const Refusal&) override { return plain_response(413); }

  boost::unordered_flat_map<TraceId, std::uint32_t, IdHash> spans_;  // read after the server has stopped

 private:
  template <class F>
  static void each(ByteView message, std::uint32_t field, F&& visit) {
    const char* p = message.data();
    const char* const end = p + message.size();
    while (p < end) {
      std::uint32_t tag = 0;
      ByteView content;
      if (!pb::read_tag(p, end, tag)) std::abort();
      if (tag == pb::tag_of(field, pb::kLen)) {
        if (!pb::read_len(p, end, content)) std::abort();
        visit(content);
      } else if (!pb::skip_value(p, end, tag)) {
        std::abort();
      }
    }
  }
};

struct Cpu {
  double user = 0, system = 0;  // seconds
  double sum() const { return user + system; }
};

Cpu cpu_seconds(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(in)), {});
  text = text.substr(text.rfind(')') + 2);
  unsigned long user = 0, system = 0;
  std::sscanf(text.c_str(), "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  return {static_cast<double>(user) / ticks, static_cast<double>(system) / ticks};
}

double status_mb(pid_t pid, const std::string& key) {
  std::ifstream in(fmt::format("/proc/{}/status", pid));
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with(key + ":")) return std::strtod(line.c_str() + key.size() + 1, nullptr) * 1024 / 1e6;
  }
  return 0;
}

std::string http_get(std::uint16_t port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string out;
  const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 &&
      send(fd, request.data(), request.size(), 0) > 0) {
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) out.append(buffer, static_cast<std::size_t>(n));
  }
  close(fd);
  return out;
}

// The sum of a metric over its labels, or over the series that have `label`.
double metric(const std::string& text, const std::string& name, const std::string& label = "") {
  double sum = 0;
  for (std::size_t at = 0; (at = text.find("\n" + name, at)) != std::string::npos; ++at) {
    const char next = text[at + 1 + name.size()];
    if (next != ' ' && next != '{') continue;
    if (text.substr(at, text.find('\n', at + 1) - at).find(label) == std::string::npos) continue;
    sum += std::strtod(text.c_str() + text.find_last_of(' ', text.find('\n', at + 1)), nullptr);
  }
  return sum;
}

bool law_holds(const std::string& text) {
  const double received = metric(text, "tailgate_spans_received_total");
  const double ends = metric(text, "tailgate_spans_refused_total") + metric(text, "tailgate_spans_forwarded_total") +
                      metric(text, "tailgate_spans_not_sampled_total") + metric(text, "tailgate_spans_dropped_total") +
                      metric(text, "tailgate_spans_shed_total") + metric(text, "tailgate_spans_sent_to_members_total") +
                      metric(text, "tailgate_buffer_spans");
  if (received != ends) fmt::print("LAW BROKEN: received {} accounted {}\n", received, ends);
  return received == ends;
}

// What the machine gives at this moment, best of three: the load's cost is mostly copies to cold memory, and a virtual
// machine's memory is as fast as its neighbours let it be. Figures of two runs compare only with these two side by
// side.
double cold_copy_gb_per_s() {
  constexpr std::size_t kBytes = 512 << 20, kBlock = 1024;
  const std::unique_ptr<char[]> from(new char[kBytes]), to(new char[kBytes]);
  std::memset(from.get(), 1, kBytes);
  std::memset(to.get(), 1, kBytes);
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    std::uint64_t random = 88172645463325252;
    const auto begin = std::chrono::steady_clock::now();
    for (std::size_t at = 0; at < kBytes; at += kBlock) {
      random ^= random << 13, random ^= random >> 7, random ^= random << 17;
      std::memcpy(to.get() + at, from.get() + random % (kBytes / kBlock) * kBlock, kBlock);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best = std::max(best, static_cast<double>(kBytes) / 1e9 / took.count());
  }
  return best;
}

// A self-signed certificate on P-256, as dir/cert.pem and dir/key.pem.
void make_certificate(const std::string& dir) {
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(X509_new(), X509_free);
  X509* const c = certificate.get();
  X509_set_version(c, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
  X509_gmtime_adj(X509_getm_notBefore(c), -60);
  X509_gmtime_adj(X509_getm_notAfter(c), 86'400);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(c, X509_get_subject_name(c));
  X509_set_pubkey(c, key.get());
  X509_sign(c, key.get(), EVP_sha256());
  for (const char* name : {"cert", "key"}) {
    FILE* const out = std::fopen((dir + "/" + name + ".pem").c_str(), "w");
    if (out == nullptr) std::exit(3);
    if (name[0] == 'c') {
      PEM_write_X509(out, c);
    } else {
      PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    }
    std::fclose(out);
  }
}

struct Daemon {
  pid_t pid = 0;
  std::string folder, log;
  std::uint16_t port = 0, metrics_port = 0;
};

// Typed policies beside the four that keep nothing: each looks at an attribute, most of them at one that spans have.
std::string more_policies(int count) {
  constexpr const char* kKeys[] = {"http.route",      "app.attribute.0", "app.attribute.1", "app.attribute.2",
                                   "service.version", "db.system",       "app.attribute.3"};
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += fmt::format(
        "\n    - {{name: more-{}, type: {}}}", i,
        i % 3 == 2
            ? fmt::format("numeric_attribute, numeric_attribute: {{key: {}, min_value: {}}}", kKeys[i % 7],
                          1'000'000 + i)
            : fmt::format("string_attribute, string_attribute: {{key: {}, values: [\"none of these {}\", \"nor {}\"]}}",
                          kKeys[i % 7], i, i));
  }
  return out;
}

Daemon start_daemon(const Options& options, std::uint16_t sink_port) {
  Daemon d;
  const std::string dir = d.folder = fmt::format("/tmp/tailgate-load-{}", getpid());
  if (std::system(("mkdir -p " + dir).c_str()) != 0) std::exit(3);
  d.log = dir + "/log";
  const std::string config = dir + "/config.yaml";
  std::string exporters;
  for (int i = 0; i < options.exporters; ++i) {
    exporters +=
        fmt::format(R"(
  otlp/{}: {{endpoint: "127.0.0.1:{}", compression: none, tls: {{insecure: true}}{}}})",
                    i, sink_port, options.durable ? fmt::format(", sending_queue: {{directory: {}/queue}}", dir) : "");
  }
  if (options.beside == "store") exporters += fmt::format("\n  store: {{directory: {}/store}}", dir);
  if (options.beside == "file") exporters += fmt::format("\n  file: {{path: {}/kept.json}}", dir);
  const std::string tls =
      options.tls ? fmt::format(", tls: {{cert_file: {0}/cert.pem, key_file: {0}/key.pem}}", dir) : std::string();
  if (options.tls) make_certificate(dir);
  std::ofstream(config) << fmt::format(
      R"(receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"{}}}}}}}}}
sampling:
  decision_wait: {}
  memory_limit: {}
  policies:{}{}
exporters:{}
telemetry: {{metrics: {{endpoint: "127.0.0.1:0"}}, health: {{endpoint: "127.0.0.1:0"}}}}
web: {{endpoint: "127.0.0.1:0"}}
)",
      tls, options.wait, options.memory, options.keep_all ? "\n    - {name: all, type: always_sample}" : kPolicies,
      more_policies(options.policies), exporters);
  d.pid = fork();
  if (d.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (std::freopen(d.log.c_str(), "w", stderr) == nullptr) std::_Exit(127);
    std::vector<const char*> argv = {options.daemon.c_str(), "run", "--config", config.c_str()};
    for (const std::string& s : options.set) argv.insert(argv.end(), {"--set", s.c_str()});
    argv.push_back(nullptr);
    execv(argv[0], const_cast<char**>(argv.data()));
    std::_Exit(127);
  }
  for (int i = 0; i < 500; ++i) {
    std::this_thread::sleep_for(20ms);
    std::ifstream in(d.log);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    std::smatch match;
    if (text.find("ready") == std::string::npos) continue;
    if (std::regex_search(text, match, std::regex("receiver=otlp endpoint=\\S*:(\\d+)")))
      d.port = static_cast<std::uint16_t>(std::stoi(match[1]));
    if (std::regex_search(text, match, std::regex("page=metrics endpoint=\\S*:(\\d+)")))
      d.metrics_port = static_cast<std::uint16_t>(std::stoi(match[1]));
    return d;
  }
  fmt::print(stderr, "the daemon did not start; see {}\n", d.log);
  std::exit(3);
}

const Shape& shape_named(const std::string& name) {
  for (const Shape* const shape : {&kLarge, &kSmall, &kMixed}) {
    if (shape->name == name) return *shape;
  }
  fmt::print(stderr, "load: unknown shape {}\n", name);
  std::exit(2);
}

Options parse(int argc, char** argv) {
  Options o;
  std::size_t names = 1, traces = 0;
  bool calls = false, like_sdk = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&] { return std::string(++i < argc ? argv[i] : ""); };
    if (flag == "--daemon")
      o.daemon = value();
    else if (flag == "--shape")
      o.shape = shape_named(value());
    else if (flag == "--names")
      names = std::stoul(value());
    else if (flag == "--calls")
      calls = true;
    else if (flag == "--like-sdk")
      like_sdk = true;
    else if (flag == "--traces")
      traces = std::stoul(value());
    else if (flag == "--order")
      o.order = value() == "backward" ? FieldOrder::kBackward : FieldOrder::kForward;
    else if (flag == "--rate")
      o.rate = std::stod(value());
    else if (flag == "--burst")
      o.burst = parse_duration(value()).value();
    else if (flag == "--seconds")
      o.seconds = std::stoi(value());
    else if (flag == "--wait")
      o.wait = value();
    else if (flag == "--memory")
      o.memory = value();
    else if (flag == "--connections")
      o.connections = std::stoul(value());
    else if (flag == "--in-flight")
      o.in_flight = std::stoul(value());
    else if (flag == "--policies")
      o.policies = std::stoi(value());
    else if (flag == "--overload")
      o.overload = true;
    else if (flag == "--gzip")
      o.gzip = true;
    else if (flag == "--tls")
      o.tls = true;
    else if (flag == "--exporters")
      o.exporters = std::stoi(value());
    else if (flag == "--beside")
      o.beside = value();
    else if (flag == "--durable")
      o.durable = true;
    else if (flag == "--keep-all")
      o.keep_all = true;
    else if (flag == "--ids")
      o.run = std::stoull(value());
    else if (flag == "--set")
      o.set.push_back(value());
    else {
      fmt::print(stderr, "load: unknown flag {}\n", flag);
      std::exit(2);
    }
  }
  o.shape.names = names;
  if (traces != 0) o.shape.traces = traces;
  o.shape.calls = calls;
  o.shape.like_sdk = like_sdk;
  return o;
}

struct Lane {  // a connection and the pool that is written through it
  std::unique_ptr<H2Client> client;
  std::vector<Group> pool;
  std::size_t group = 0, request = 0;
  std::vector<TraceId> ids;
  std::string gzip;  // the request that is being written, when it is compressed

  // Begins the next request, with the ids in their places. Returns its spans.
  std::size_t send_next(bool compress) {
    Group& now = pool[group];
    Request& next = now.requests[request];
    for (const auto& [at, trace] : next.ids) std::memcpy(next.grpc.data() + at, ids[trace].bytes.data(), 16);
    if (compress) {
      const std::string body = test::gzip(std::string_view(next.grpc).substr(5));
      gzip.assign(1, '\1');  // compressed (the gRPC protocol's Length-Prefixed-Message)
      for (int shift = 24; shift >= 0; shift -= 8) gzip.push_back(static_cast<char>(body.size() >> shift));
      gzip += body;
    }
    client->start(compress ? gzip : next.grpc);
    if (++request == now.requests.size()) {
      request = 0;
      group = (group + 1) % pool.size();
    }
    return next.ids.size();
  }
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  Sink sink;
  IoThreads sink_threads(1, "sink");
  sink_threads.start();
  ServerOptions sink_options;
  sink_options.name = "sink";
  sink_options.endpoint = "127.0.0.1:0";
  auto sink_server = Server::open(sink_threads, sink_options, sink);
  if (!sink_server) return 3;
  const double copy_gb_s = cold_copy_gb_per_s();
  Daemon daemon = start_daemon(options, (*sink_server)->port());

  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> tls(options.tls ? SSL_CTX_new(TLS_client_method()) : nullptr,
                                                         SSL_CTX_free);
  std::vector<Lane> lanes(options.connections);
  double wire_bytes = 0;
  std::size_t wire_spans = 0;
  for (std::size_t l = 0; l < lanes.size(); ++l) {
    lanes[l].client =
        std::make_unique<H2Client>(daemon.port, "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                                   options.gzip ? "gzip" : "", tls.get());
    lanes[l].pool = make_pool(options.shape, options.shape.services == 1 ? 50 : 25, l + 1, options.order);
    for (const Group& g : lanes[l].pool) {
      for (const Request& r : g.requests) wire_bytes += static_cast<double>(r.grpc.size()), wire_spans += r.ids.size();
    }
  }
  const double bytes_per_span = wire_bytes / static_cast<double>(wire_spans);

  struct Expected {
    TraceId id;
    std::size_t spans;
  };
  std::vector<Expected> expected;
  std::uint64_t sent_spans = 0, next_trace = 0;
  const double rss_idle = status_mb(daemon.pid, "VmRSS");
  const double cpu_before = cpu_seconds(daemon.pid).sum();
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + std::chrono::seconds(options.seconds);

  // Every second: RSS against what is buffered, and the law.
  std::atomic<bool> stop_watch{false};
  bool law = true;
  double worst_ratio = 0, ratio_at_mb = 0, rss_peak = 0;
  std::thread watch([&] {
    for (int i = 0; !stop_watch; ++i) {
      std::this_thread::sleep_for(100ms);
      rss_peak = std::max(rss_peak, status_mb(daemon.pid, "VmRSS"));
      if (i % 10 != 9) continue;
      const std::string text = http_get(daemon.metrics_port, "/metrics");
      if (text.empty()) continue;
      law &= law_holds(text);
      const double held_mb = metric(text, "tailgate_buffer_spans") * bytes_per_span / 1e6;
      const double rss = status_mb(daemon.pid, "VmRSS");
      const double cache_mb =
          metric(text, "tailgate_memory_used_bytes{holder=\"caches\"}") / 1e6;  // what it is set to hold
      if (held_mb > ratio_at_mb) {  // memory is recycled, not given back: the fullest moment is the one that counts
        worst_ratio = (rss - 67 - cache_mb) / held_mb;  // beyond 64 MiB and what the cache holds
        ratio_at_mb = held_mb;
      }
    }
  });

  bool lost = false;
  // After the buffer has filled once, memory is recycled: that is the state a daemon is in for all but its first
  // seconds.
  const auto steady_at = begin + *parse_duration(options.wait) + 3s;
  Cpu steady_cpu;
  std::uint64_t steady_spans = 0;
  auto steady_begin = steady_at;
  std::vector<pollfd> polls(lanes.size());
  std::size_t pass = 0;
  while (std::chrono::steady_clock::now() < end && !lost) {
    bool progress = false;
    if (steady_spans == 0 && std::chrono::steady_clock::now() > steady_at) {
      steady_begin = std::chrono::steady_clock::now();
      steady_cpu = cpu_seconds(daemon.pid);
      steady_spans = sent_spans;
    }
    Duration since = std::chrono::steady_clock::now() - begin;
    if (options.burst != Duration::zero()) since -= since % options.burst;
    const double elapsed = std::chrono::duration<double>(since).count();
    ++pass;
    for (std::size_t l = 0; l < lanes.size(); ++l) {
      Lane& lane = lanes[(pass + l) % lanes.size()];  // at a low rate the first would send everything
      H2Client& client = *lane.client;
      while (!client.wants_write() && client.in_flight() < options.in_flight) {
        if (options.rate != 0 && static_cast<double>(sent_spans) > elapsed * options.rate) break;
        if (lane.request == 0) {
          const Group& group = lane.pool[lane.group];
          lane.ids.clear();
          for (std::size_t t = 0; t < options.shape.traces; ++t) {
            lane.ids.push_back(nth_id(options.run, next_trace++));
            if (options.keep_all || group.kept[t] || kept_by_chance(lane.ids.back()))
              expected.push_back({lane.ids.back(), group.spans[t]});
          }
        }
        sent_spans += lane.send_next(options.gzip);
        progress = true;
        lost |= !client.pump();
      }
      lost |= !client.pump();
    }
    if (progress) continue;
    for (std::size_t l = 0; l < lanes.size(); ++l) {
      polls[l] = {lanes[l].client->fd(), static_cast<short>(POLLIN | (lanes[l].client->wants_write() ? POLLOUT : 0)),
                  0};
    }
    poll(polls.data(), polls.size(), 2);
  }
  const double steady_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - steady_begin).count();
  const Cpu cpu_at_end = cpu_seconds(daemon.pid);
  steady_cpu = {cpu_at_end.user - steady_cpu.user, cpu_at_end.system - steady_cpu.system};
  const double steady_millions = static_cast<double>(sent_spans - steady_spans) / 1e6;
  // Complete the traces begun, so that every expected trace is whole.
  for (Lane& lane : lanes) {
    H2Client& client = *lane.client;
    const auto patience = std::chrono::steady_clock::now() + 20s;
    while (!lost && (client.in_flight() != 0 || client.wants_write() || lane.request != 0)) {
      if (lane.request != 0 && !client.wants_write()) {
        sent_spans += lane.send_next(options.gzip);
      }
      if (!client.pump() || std::chrono::steady_clock::now() > patience) lost = true;
      pollfd one = {client.fd(), POLLIN, 0};
      poll(&one, 1, 1);
    }
  }
  const double sending_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  // Wait until all is decided and sent; it belongs to the cost.
  for (int i = 0; i < 300; ++i) {
    std::this_thread::sleep_for(200ms);
    const std::string text = http_get(daemon.metrics_port, "/metrics");
    if (!text.empty() && metric(text, "tailgate_buffer_spans") == 0 && metric(text, "tailgate_export_queue_spans") == 0)
      break;
  }
  const double cpu = cpu_seconds(daemon.pid).sum() - cpu_before;
  stop_watch = true;
  watch.join();
  const std::string text = http_get(daemon.metrics_port, "/metrics");
  law &= law_holds(text);
  kill(daemon.pid, SIGTERM);
  int status = 0;
  waitpid(daemon.pid, &status, 0);
  (*sink_server)->stop(1s);
  std::uint64_t store_bytes = 0;
  std::error_code error;
  for (const auto& file : std::filesystem::recursive_directory_iterator(daemon.folder, error)) {
    if (file.is_regular_file(error) && file.path().string().find("/store/") != std::string::npos)
      store_bytes += file.file_size(error);
  }
  if (!options.beside.empty()) std::filesystem::remove_all(daemon.folder, error);

  std::uint64_t ok = 0, refused = 0, refused_with_retry = 0;
  std::vector<float> answer_ms;
  for (const Lane& lane : lanes) {
    ok += lane.client->answered_ok;
    answer_ms.insert(answer_ms.end(), lane.client->answer_ms.begin(), lane.client->answer_ms.end());
    for (const auto& [code, n] : lane.client->answered_other) {
      refused += n;
      fmt::print("answers with grpc-status {}: {}\n", code, n);
    }
    refused_with_retry += lane.client->other_with_retry;
  }
  std::size_t whole = 0, broken = 0, missing = 0;
  std::size_t known = 0;
  std::size_t expected_spans = 0;
  for (const auto& [id, spans] : expected) {
    expected_spans += spans;
    const auto it = sink.spans_.find(id);
    if (it == sink.spans_.end()) {
      ++missing;
      continue;
    }
    ++known;
    const std::size_t want = spans * static_cast<std::size_t>(options.exporters);
    (it->second == want ? whole : broken) += 1;
  }
  const std::size_t strangers = sink.spans_.size() - known;
  const double millions = static_cast<double>(sent_spans) / 1e6;
  fmt::print("{}{} {}: {:.0f} spans/s ({:.0f} MB/s, {:.0f} B a span)\n", options.shape.name,
             options.gzip ? ", gzip" : "", options.rate != 0 ? fmt::format("at {:.0f}/s", options.rate) : "saturated",
             static_cast<double>(sent_spans) / sending_s,
             static_cast<double>(sent_spans) * bytes_per_span / sending_s / 1e6, bytes_per_span);
  fmt::print(
      "  CPU s per million spans {:.3f} (steady, of it user {:.3f}, {:.0f} spans/s); {:.3f} from start to end, first "
      "touch of memory included\n",
      steady_cpu.sum() / steady_millions, steady_cpu.user / steady_millions, steady_millions * 1e6 / steady_s,
      cpu / millions);
  fmt::print("  this machine just before: {:.1f} GB/s copying cold memory by the kilobyte\n", copy_gb_s);
  fmt::print("  requests ok {} refused {} (with retry time {}), law {}, daemon exit {}\n", ok, refused,
             refused_with_retry, law ? "holds" : "BROKEN", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  std::sort(answer_ms.begin(), answer_ms.end());
  if (!answer_ms.empty()) {
    const auto answered = [&](double share) {
      return answer_ms[static_cast<std::size_t>(share * static_cast<double>(answer_ms.size() - 1))];
    };
    fmt::print("  answers p50 {:.2f} p99 {:.2f} p99.9 {:.2f} longest {:.0f} ms\n", answered(.5), answered(.99),
               answered(.999), answer_ms.back());
  }
  fmt::print("  expected {} traces: whole {} broken {} missing {}, not expected {}\n", expected.size(), whole, broken,
             missing, strangers);
  fmt::print("  decided early by memory {:.0f} traces\n",
             metric(text, "tailgate_traces_decided_total", "close_reason=\"memory\""));
  fmt::print("  RSS idle {:.0f} MB, peak {:.0f} MB; (RSS - 64 MiB - cache) / wire bytes buffered {:.3f} at {:.0f} MB\n",
             rss_idle, rss_peak, worst_ratio, ratio_at_mb);
  if (options.beside == "store") {
    const double kept = static_cast<double>(expected_spans);
    fmt::print("  store: {:.0f} MB for {:.0f} kept spans, {:.3f} of their OTLP bytes\n",
               static_cast<double>(store_bytes) / 1e6, kept,
               static_cast<double>(store_bytes) / (kept * bytes_per_span));
  }
  if (options.exporters == 0) missing = 0;  // what the sink does not get cannot be compared
  bool good = law && !lost && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (options.overload) {
    good &= refused == refused_with_retry && rss_peak < 563 * 1.048576;
  } else {
    good &= refused == 0 && missing == 0 && broken == 0 && strangers == 0;
  }
  fmt::print("  {}{}\n", good ? "good" : "FAILED", lost ? " (a connection was lost)" : "");
  return good ? 0 : 1;
}
