// SPDX-License-Identifier: Apache-2.0
#include "traffic.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "base/hash.h"
#include "decide/policies/probabilistic.h"
#include "otlp_twin.pb.h"
#include "support/backward_otlp.h"
#include "support/random_otlp.h"

namespace tailgate::bench {
namespace {

std::string random_text(test::Random& r, std::size_t size) {
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>('a' + r.below(26));
  return text;
}

std::size_t log_uniform(test::Random& r, std::size_t most) {
  return static_cast<std::size_t>(
      std::exp(std::log(static_cast<double>(most)) * static_cast<double>(r.below(1000)) / 1000));
}

template <std::size_t N>
std::string_view one_of(const std::array<std::string_view, N>& texts, test::Random& r) {
  return texts[r.below(N)];
}

constexpr std::array<std::string_view, 4> kMethods{"GET", "POST", "PUT", "DELETE"};
constexpr std::array<std::string_view, 5> kStatusCodes{"200", "201", "204", "404", "500"};
constexpr std::array<std::string_view, 6> kAgents{
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "okhttp/4.12.0",
    "Go-http-client/2.0",
    "python-requests/2.32.3"};
constexpr std::array<std::string_view, 8> kStatements{
    "SELECT p.id, p.name, p.price, p.currency, s.free FROM products p JOIN stock s ON s.product = p.id WHERE p.id = $1",
    "SELECT o.id, o.state, o.total, o.created, c.name, c.mail, a.street, a.city, a.country FROM orders o "
    "JOIN customers c ON c.id = o.customer LEFT JOIN addresses a ON a.id = o.ship_to WHERE c.id = $1 "
    "ORDER BY o.created DESC LIMIT 50",
    "INSERT INTO orders (id, customer, state, total, currency, ship_to, bill_to, created) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, now()) ON CONFLICT (id) DO NOTHING RETURNING created",
    "UPDATE stock SET reserved = reserved + $1, changed = now() WHERE product = $2 AND warehouse = $3 AND free >= $1",
    "SELECT count(*), sum(i.quantity * i.price) FROM baskets b JOIN items i ON i.basket = b.id "
    "WHERE b.customer = $1 AND b.closed IS NULL",
    "DELETE FROM sessions WHERE expires < now() - interval '1 day'",
    "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "COMMIT"};

constexpr std::array<std::string_view, 4> kFunctions{
    "com.example.shop.catalogue.ProductController.showProduct", "com.example.shop.orders.OrderController.listOrders",
    "com.example.shop.orders.PlaceOrderService.place", "com.example.shop.stock.ReservationRepository.reserve"};

// What auto-instrumentation notes of a request, and an application's own ids with it. A tenth of the bytes is random.
template <typename Attribute>
void like_sdk(twin::Span* span, std::size_t service, test::Random& r, const Attribute& attribute) {
  const auto add = [&](const std::string& key, const std::string& value) {
    attribute(span->add_attributes(), key, value);
  };
  const std::string host = fmt::format("service-{}.shop.svc.cluster.local", service);
  const std::size_t item = r.below(1'000'000);
  add("http.request.method", std::string(one_of(kMethods, r)));
  add("url.full", fmt::format("https://{}:8443/api/v1/resource/{}?page={}&sort=price&currency=EUR&locale=en-GB", host,
                              item, r.below(20)));
  add("url.path", fmt::format("/api/v1/resource/{}", item));
  add("server.address", host);
  add("client.address", fmt::format("10.{}.{}.{}", r.below(4), r.below(256), r.below(256)));
  add("network.peer.port", fmt::format("{}", 32'768 + r.below(28'000)));
  add("user_agent.original", std::string(one_of(kAgents, r)));
  add("http.response.status_code", std::string(one_of(kStatusCodes, r)));
  add("http.response.body.size", fmt::format("{}", r.below(40'000)));
  add("db.query.text", std::string(one_of(kStatements, r)));
  add("thread.name", fmt::format("http-nio-8443-exec-{}", r.below(64)));
  add("code.function.name", std::string(one_of(kFunctions, r)));
  add("session.id", fmt::format("{:016x}", r.next()));
  add("enduser.id", fmt::format("user-{}", r.below(1'000'000)));
  add("request.id", fmt::format("{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}", r.below(1ULL << 32), r.below(1 << 16),
                                r.below(1 << 12), r.below(1 << 12), r.below(1ULL << 48)));
}

}  // namespace

std::vector<Group> make_pool(const Shape& shape, std::size_t groups, std::uint64_t seed, FieldOrder field_order) {
  test::Random r(seed);
  std::vector<Group> pool;
  std::uint64_t counter = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    Group& group = pool.emplace_back();
    enum Kind { kPlain, kError, kSlow, kRoute };
    std::vector<Kind> kinds;
    for (std::size_t t = 0; t < shape.traces; ++t) {
      const std::uint64_t c = counter++ % 100;  // 1 % of each kind, evenly over the pool
      kinds.push_back(c == 10 ? kError : c == 40 ? kSlow : c == 70 ? kRoute : kPlain);
      group.kept.push_back(kinds.back() != kPlain);
      const std::size_t usual = shape.services * shape.spans_per_service;
      group.spans.push_back(shape.mixed ? log_uniform(r, 2 * usual) : usual);
    }
    const std::uint64_t start = 1'790'000'000'000'000'000ULL + g * 1'000'000;
    for (std::size_t s = 0; s < shape.services; ++s) {
      twin::TracesData data;
      auto* resource_spans = data.add_resource_spans();
      const auto attribute = [](auto* to, const std::string& key, const std::string& value) {
        to->set_key(key);
        to->mutable_value()->set_string_value(value);
      };
      auto* resource = resource_spans->mutable_resource();
      attribute(resource->add_attributes(), "service.name", fmt::format("service-{}", s));
      attribute(resource->add_attributes(), "service.version", "1.2.3");
      attribute(resource->add_attributes(), "telemetry.sdk.language", "cpp");
      attribute(resource->add_attributes(), "host.name", fmt::format("host-{}", s));
      auto* scope_spans = resource_spans->add_scope_spans();
      scope_spans->mutable_scope()->set_name("bench");
      // Shuffled: a trace's spans do not stand together.
      std::vector<std::pair<std::size_t, std::size_t>> order;  // trace, and the span's number in it
      for (std::size_t t = 0; t < shape.traces; ++t) {
        for (std::size_t n = 0; n < group.spans[t]; ++n) {
          if (n * shape.services / group.spans[t] == s) order.emplace_back(t, n);
        }
      }
      if (order.empty()) continue;
      for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[r.below(i + 1)]);
      for (const auto& [t, n] : order) {
        auto* span = scope_spans->add_spans();
        std::string id(16, 'T');
        std::memcpy(id.data() + 8, &t, 8);  // found again below
        span->set_trace_id(id);
        const auto id_of = [&, trace = counter - shape.traces + t](std::uint64_t number) {
          if (shape.like_sdk) number = mix_bits((seed << 48) + (trace << 12) + number);
          return std::string(reinterpret_cast<const char*>(&number), 8);
        };
        const std::uint64_t number = n + 1;
        span->set_span_id(id_of(number));
        if (n != 0) {
          const std::size_t sides = shape.calls ? group.spans[t] * 2 / 5 : 0;
          const bool called = sides != 0 && n >= group.spans[t] - sides;
          const std::uint64_t parent = called ? number - (group.spans[t] - sides) : n / 3 + 1 == number ? 1 : n / 3 + 1;
          span->set_parent_span_id(id_of(parent));
        }
        span->set_name(fmt::format("GET /api/v1/resource/{}", n));
        if (shape.names > 1) span->mutable_name()->append(fmt::format("-{}", (g * shape.traces + t) % shape.names));
        const std::size_t sides = group.spans[t] * 2 / 5;
        span->set_kind(!shape.calls || n >= group.spans[t] - sides ? 2 : n < sides ? 3 : 1);
        const std::uint64_t begin = start + n * 1'000'000 + (shape.like_sdk ? r.below(1'000'000) : 0);
        span->set_start_time_unix_nano(begin);
        const std::uint64_t last_ms = kinds[t] == kSlow && n + 1 == group.spans[t] ? 1500 : 20;
        span->set_end_time_unix_nano(begin + last_ms * 1'000'000 - (shape.like_sdk ? r.below(1'000'000) : 0));
        const bool on_route = kinds[t] == kRoute && n == 0;
        attribute(span->add_attributes(), "http.route", on_route ? "/checkout" : "/api/v1/resource/{id}");
        if (shape.like_sdk) like_sdk(span, s, r, attribute);
        for (std::size_t a = 1; !shape.like_sdk && a < shape.attributes; ++a) {
          attribute(span->add_attributes(), fmt::format("app.attribute.{}", a), random_text(r, shape.value_bytes));
        }
        if (kinds[t] == kError && n == group.spans[t] / 2) {
          span->mutable_status()->set_code(2);
          span->mutable_status()->set_message("boom");
        }
      }
      Request& request = group.requests.emplace_back();
      const std::string bytes =
          field_order == FieldOrder::kForward ? data.SerializeAsString() : test::backward_otlp(data);
      request.grpc.assign(5, '\0');
      for (int i = 0; i < 4; ++i)
        request.grpc[static_cast<std::size_t>(1 + i)] = static_cast<char>(bytes.size() >> (24 - 8 * i));
      request.grpc += bytes;
      const std::string mark(8, 'T');
      for (std::size_t at = request.grpc.find(mark); at != std::string::npos; at = request.grpc.find(mark, at + 16)) {
        std::uint64_t t = 0;
        std::memcpy(&t, request.grpc.data() + at + 8, 8);
        request.ids.emplace_back(static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(t));
      }
    }
  }
  return pool;
}

TraceId nth_id(std::uint64_t run, std::uint64_t n) {
  // Two rounds of a bijection on 64 bits each: distinct n give distinct ids.
  const std::uint64_t words[2] = {mix_bits(n * 2 + 1 + run), mix_bits(mix_bits(n + run) + 0x9e3779b97f4a7c15ULL)};
  return TraceId::from(reinterpret_cast<const char*>(words));
}

bool kept_by_chance(const TraceId& id) {
  static const std::uint64_t threshold = probabilistic_threshold(1);
  static const std::uint64_t salted = fnv1a("default-hash-seed");
  return fnv1a(id.view(), salted) <= threshold;
}

}  // namespace tailgate::bench
