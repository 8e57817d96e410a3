// SPDX-License-Identifier: Apache-2.0
#include "receive/jaeger.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/units.h"
#include "net/server/listen.h"
#include "receive/budget_room.h"
#include "receive/servers.h"
#include "wire/jaeger/proto.h"

namespace tailgate {

void JaegerDatagrams::handle(std::span<const UdpDatagram> datagrams) {
  BudgetRoom room(context_.budget);
  thread_local ByteSink otlp;
  otlp.set_room(&room);
  otlp.clear();
  std::uint64_t refused = 0;
  try {
    take(datagrams, otlp, refused);
  } catch (const std::exception& e) {  // such as std::bad_alloc, which must not end an I/O thread
    no_memory_.fetch_add(datagrams.size() - refused, std::memory_order_relaxed);
    log(datagrams.back(), UdpDrop::kNoMemory, e.what());
  }
  otlp.clear();  // before its charge is given back
}

// `refused` counts the datagrams that gave no spans.
void JaegerDatagrams::take(std::span<const UdpDatagram> datagrams, ByteSink& otlp, std::uint64_t& refused) {
  std::uint64_t good = 0;
  UdpDatagram last;  // of the good ones
  for (const UdpDatagram& datagram : datagrams) {
    const std::size_t before = otlp.size();
    const Result<JaegerClient> client = jaeger_message_to_otlp(datagram.bytes, protocol_, otlp);
    if (client) {
      ++good;
      last = datagram;
      clients_.record(*client, datagram.sender);
      continue;
    }
    otlp.truncate(before);
    const bool no_room = client.error().kind == ErrorKind::kRefused;
    ++refused;
    (no_room ? no_memory_ : malformed_).fetch_add(1, std::memory_order_relaxed);
    log(datagram, no_room ? UdpDrop::kNoMemory : UdpDrop::kMalformed, client.error().text);
  }
  if (context_.odd) context_.odd(source_, Oddity::kRepairedTexts, otlp.repaired_texts());
  // Concatenated requests are one request, so all spans of a turn are scanned and stored at once.
  if (!otlp.view().empty()) {
    const IngestResult result = context_.ingest(source_, otlp.view(), nullptr);
    switch (result.kind) {
      case IngestResult::Kind::kClientSpans:  // datagrams have no client, because their address proves nothing
      case IngestResult::Kind::kAccepted:
        break;
      case IngestResult::Kind::kMalformed:
        malformed_.fetch_add(good, std::memory_order_relaxed);
        log(last, UdpDrop::kMalformed, result.message);
        break;
      case IngestResult::Kind::kNoMemory:
        no_memory_.fetch_add(good, std::memory_order_relaxed);
        log(last, UdpDrop::kNoMemory, result.message);
        break;
      case IngestResult::Kind::kShuttingDown:
        shutdown_.fetch_add(good, std::memory_order_relaxed);
        log(last, UdpDrop::kShutdown, result.message);
        break;
      case IngestResult::Kind::kJournal:
        journal_.fetch_add(good, std::memory_order_relaxed);
        log(last, UdpDrop::kJournal, result.message);
        break;
    }
  }
}

void JaegerDatagrams::too_large(const UdpDatagram& datagram) {
  log(datagram, UdpDrop::kTooLarge, fmt::format("larger than {} bytes", options_.datagram_bytes_max));
}

void JaegerDatagrams::log(const UdpDatagram& datagram, UdpDrop why, std::string_view text) const {
  if (!context_.log_refused) return;
  context_.log_refused(source_, why, datagram.from != nullptr ? address_text(*datagram.from) : "",
                       fmt::format("datagram to {}: {}", options_.endpoint, text));
}

JaegerDatagrams::Dropped JaegerDatagrams::dropped() const {
  return {malformed_.load(std::memory_order_relaxed), no_memory_.load(std::memory_order_relaxed),
          shutdown_.load(std::memory_order_relaxed), journal_.load(std::memory_order_relaxed)};
}

namespace {

class JaegerReceiver final : public Receiver {
 public:
  JaegerReceiver(JaegerConfig config, std::string name) : config_(std::move(config)), name_(std::move(name)) {}
  ~JaegerReceiver() override { stop(Duration::zero()); }

  const std::string& name() const override { return name_; }
  bool marks_spans() const override { return true; }

  std::size_t tls_connections() const override {
    return (config_.grpc ? config_.grpc->tls_connections() : 0) +
           (config_.thrift_http ? config_.thrift_http->tls_connections() : 0);
  }
  std::vector<std::string> wanted_endpoints() const override {
    std::vector<std::string> out;  // without UDP, which no exporter sends to
    if (config_.grpc) out.push_back(config_.grpc->endpoint);
    if (config_.thrift_http) out.push_back(config_.thrift_http->endpoint);
    return out;
  }

  Result<void> start(const ReceiverContext& context) override {
    Result<void> started = start_all(context);
    if (!started) stop(Duration::zero());
    return started;
  }

  std::vector<std::string> endpoints() const override {
    std::vector<std::string> out = servers_.endpoints();
    for (const auto& udp : udp_) out.push_back(udp.server->endpoint());
    return out;
  }

  void drain() override { servers_.drain(); }

  void stop(Duration grace) override {
    drain();
    for (const auto& udp : udp_) udp.server->stop();
    servers_.stop(grace);
  }

  ReceiverStats stats() const override {
    ReceiverStats out = servers_.stats();
    for (const auto& udp : udp_) {
      const UdpStats s = udp.server->stats();
      const JaegerDatagrams::Dropped dropped = udp.handler->dropped();
      out.udp = true;
      const auto add = [&](UdpDrop why, std::uint64_t n) { out.udp_dropped[static_cast<std::size_t>(why)] += n; };
      add(UdpDrop::kKernel, s.kernel_dropped);
      add(UdpDrop::kMalformed, dropped.malformed);
      add(UdpDrop::kNoMemory, dropped.no_memory);
      add(UdpDrop::kTooLarge, s.too_large);
      add(UdpDrop::kShutdown, dropped.shutdown);
      add(UdpDrop::kJournal, dropped.journal);
    }
    const JaegerClients::Lost lost = clients_.lost();
    out.clients = true;
    out.client_lost_batches = lost.batches;
    out.client_lost_spans = lost.spans;
    return out;
  }

 private:
  struct Udp {
    std::unique_ptr<JaegerDatagrams> handler;  // outlives the server
    std::unique_ptr<UdpServer> server;
  };

  Result<void> start_all(const ReceiverContext& context) {
    const auto source = [&](std::string_view format) {
      return context.source ? context.source(name_, format) : SourceId{0};
    };
    if (config_.grpc) {
      if (auto opened = servers_.open(name_, *config_.grpc, context, grpc_protocol(source("jaeger_proto"), context));
          !opened)
        return opened;
    }
    const bool binary = config_.thrift_http || config_.thrift_binary;
    const SourceId thrift_binary = binary ? source("thrift_binary") : SourceId{0};
    if (config_.thrift_http) {
      if (auto opened = servers_.open(name_, *config_.thrift_http, context, thrift_protocol(thrift_binary)); !opened)
        return opened;
    }
    if (config_.thrift_compact) {
      const SourceId compact = source("thrift_compact");
      if (auto opened = open_udp(*config_.thrift_compact, ThriftProtocol::kCompact, compact, context); !opened)
        return opened;
    }
    if (config_.thrift_binary) return open_udp(*config_.thrift_binary, ThriftProtocol::kBinary, thrift_binary, context);
    return {};
  }

  static ReceiveProtocol grpc_protocol(SourceId source, const ReceiverContext& context) {
    const auto convert = [](const RequestHead&, ByteView body, ConversionOutput& out) -> Result<ByteView> {
      if (auto converted = jaeger_proto_to_otlp(body, out.sink); !converted) {
        return tl::unexpected<Error>(converted.error());
      }
      return out.sink.view();
    };
    ReceiveProtocol out;
    out.nothing_here = fmt::format("nothing here; spans go to {}", kJaegerPostSpans);
    out.routes.push_back({.path = std::string(kJaegerPostSpans),
                          .grpc = true,
                          .forms = {{"", source, convert}},
                          .wrong_type = "expected content-type application/grpc over HTTP/2"});
    if (context.sampling_strategy) {
      out.routes.push_back({.path = std::string(kJaegerGetSamplingStrategy),
                            .grpc = true,
                            .forms = {{"", source}},
                            .wrong_type = "expected content-type application/grpc over HTTP/2",
                            .answer = [ask = context.sampling_strategy](ByteView request) -> Result<Response> {
                              Result<std::string> strategy = ask(request);
                              if (!strategy) return tl::unexpected(strategy.error());
                              Response response;
                              response.body = std::move(*strategy);
                              return response;
                            }});
    }
    return out;
  }

  ReceiveProtocol thrift_protocol(SourceId source) {
    const auto convert = [this](const RequestHead& head, ByteView body, ConversionOutput& out) -> Result<ByteView> {
      const auto client = jaeger_batch_to_otlp(body, ThriftProtocol::kBinary, out.sink);
      if (!client) return tl::unexpected<Error>(client.error());
      clients_.record(*client, hash_bytes(head.remote, 0));
      return out.sink.view();
    };
    ReceiveProtocol out;
    out.nothing_here = "nothing here; spans go to /api/traces";
    out.routes.push_back({.path = "/api/traces",
                          .forms = {{"application/x-thrift", source, convert},
                                    {"application/vnd.apache.thrift.binary", source, convert}},
                          .wrong_type = "expected content-type application/x-thrift (a Batch, binary protocol)"});
    return out;
  }

  Result<void> open_udp(const UdpOptions& options, ThriftProtocol protocol, SourceId source,
                        const ReceiverContext& context) {
    Udp udp;
    udp.handler = std::make_unique<JaegerDatagrams>(protocol, options, context, source, clients_);
    auto server = UdpServer::open(*context.threads, options, *udp.handler);
    if (!server) return tl::unexpected<Error>(server.error());
    udp.server = std::move(*server);
    if (udp.server->receive_buffer() < options.receive_buffer && context.notice) {
      context.notice(fmt::format(
          "{}: the kernel gives UDP {} a receive buffer of {} instead of {}; raise net.core.rmem_max", name_,
          udp.server->endpoint(), format_bytes(udp.server->receive_buffer()), format_bytes(options.receive_buffer)));
    }
    if (udp.server->beyond_loopback() && context.notice) {
      context.notice(
          fmt::format("{} listens on UDP {} in plaintext and takes spans from anyone; set {}.endpoint to a loopback "
                      "address, or filter who can reach it",
                      name_, udp.server->endpoint(), options.config_path));
    }
    udp_.push_back(std::move(udp));
    return {};
  }

  const JaegerConfig config_;
  const std::string name_;
  JaegerClients clients_;
  ReceiverServers servers_;
  std::vector<Udp> udp_;
};

}  // namespace

std::unique_ptr<Receiver> make_jaeger_receiver(JaegerConfig config, std::string name) {
  return std::make_unique<JaegerReceiver>(std::move(config), std::move(name));
}

}  // namespace tailgate
