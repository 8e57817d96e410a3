// SPDX-License-Identifier: Apache-2.0
// What credentials and the limits of one client cost a request, in the session alone: no socket.
#include <benchmark/benchmark.h>
#include <unistd.h>
#include <zstd.h>

#include <fstream>

#include "net/auth/auth.h"
#include "net/auth/keyed_digest.h"
#include "net/http/clients.h"
#include "net/http/inflate.h"
#include "net/http/session.h"
#include "support/gzip.h"
#include "traffic.h"

namespace {

using namespace tailgate;

struct Taker final : Handler {
  Admission admit(const RequestHead&) override { return {}; }
  void handle(const RequestHead&, BodyBuffer&, Response& response) override { response.status = 200; }
  Response refuse(const RequestHead&, const Refusal&) override { return plain_response(401); }
};

// One HTTP/1.1 request after the other on one connection.
void run(benchmark::State& state, Authenticator* auth, ClientTable* clients) {
  Taker handler;
  const ServerLimits limits;
  const SessionContext context{handler, limits, nullptr, nullptr, nullptr, auth, clients};
  const auto session = make_http1_session(context, "192.0.2.1", TimePoint{});
  const std::string request =
      "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
      "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\nContent-Length: 4\r\n\r\nbody";
  std::string out;
  TimePoint now{};
  for (auto _ : state) {
    now += std::chrono::microseconds(1);
    session->feed(request, now);
    out.clear();
    session->take_output(out);
    if (!out.starts_with("HTTP/1.1 200")) return state.SkipWithError("refused");
  }
}

std::shared_ptr<Authenticator> tokens(int count) {
  const std::string file = "/tmp/tailgate-bench-tokens-" + std::to_string(getpid());
  std::ofstream out(file);
  out << "0123456789abcdef0123456789abcdef\n";
  for (int i = 1; i < count; ++i) out << "token-number-" << 100'000 + i << "\n";
  out.close();
  auto loaded = Authenticator::load({file, "", std::chrono::seconds(10)}, {});
  unlink(file.c_str());
  return loaded ? *loaded : nullptr;
}

ClientLimits all_limits() {
  ClientLimits limits;
  limits.connections = 1000;
  limits.held_bytes = 1 << 30;
  limits.bytes_per_second = std::uint64_t{1} << 40;
  limits.spans_per_second = 1'000'000'000;
  return limits;
}

void door_open(benchmark::State& state) { run(state, nullptr, nullptr); }
BENCHMARK(door_open);

void door_tokens(benchmark::State& state) {
  const auto auth = tokens(static_cast<int>(state.range(0)));
  run(state, auth.get(), nullptr);
}
BENCHMARK(door_tokens)->Arg(1)->Arg(10'000);

void door_limits(benchmark::State& state) {
  const ClientLimits limits = all_limits();
  ClientTable clients(limits, 1);
  run(state, nullptr, &clients);
}
BENCHMARK(door_limits);

void door_tokens_and_limits(benchmark::State& state) {
  const auto auth = tokens(100);
  const ClientLimits limits = all_limits();
  ClientTable clients(limits, 1);
  run(state, auth.get(), &clients);
}
BENCHMARK(door_tokens_and_limits);

// A new connection of a stranger each time: the table is looked up and a client made.
void door_client_lookup(benchmark::State& state) {
  const ClientLimits limits = all_limits();
  ClientTable clients(limits, 1);
  std::uint64_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(clients.find(ClientTable::Kind::kAddress, std::to_string(++i)));
}
BENCHMARK(door_client_lookup);

// Requests of the large shape, compressed as exporters do: by zlib at level 6, by zstd at 3.
void inflate(benchmark::State& state, Coding coding, std::string (*compress)(std::string_view)) {
  const ServerLimits limits;
  std::vector<std::string> bodies;
  std::size_t bytes = 0;
  for (const bench::Group& group : bench::make_pool(bench::kLarge, 10, 1)) {
    for (const bench::Request& request : group.requests) {
      const std::string_view message = std::string_view(request.grpc).substr(5);
      bodies.push_back(compress(message));
      bytes += message.size();
    }
  }
  for (auto _ : state) {
    for (const std::string& body : bodies) {
      BodyBuffer out;
      if (inflate_body(coding, body, limits, limits.inflated_bytes, out) != InflateResult::kOk) {
        return state.SkipWithError("corrupt");
      }
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * bytes));
}

void inflate_gzip(benchmark::State& state) {
  inflate(state, Coding::kGzip, [](std::string_view text) { return test::gzip(text); });
}
BENCHMARK(inflate_gzip);

void inflate_zstd(benchmark::State& state) {
  inflate(state, Coding::kZstd, [](std::string_view text) {
    std::string body(ZSTD_compressBound(text.size()), '\0');
    body.resize(ZSTD_compress(body.data(), body.size(), text.data(), text.size(), 3));
    return body;
  });
}
BENCHMARK(inflate_zstd);

void door_digest(benchmark::State& state) {
  const DigestKey key;
  for (auto _ : state) benchmark::DoNotOptimize(key.of("0123456789abcdef0123456789abcdef"));
}
BENCHMARK(door_digest);

}  // namespace
