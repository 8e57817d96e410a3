// SPDX-License-Identifier: Apache-2.0
#include "traffic.h"

#include <fmt/format.h>

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
        std::string span_id(8, '\0');
        const std::uint64_t number = n + 1;
        std::memcpy(span_id.data(), &number, 8);
        span->set_span_id(span_id);
        if (n != 0) {
          const std::size_t sides = shape.calls ? group.spans[t] * 2 / 5 : 0;
          const bool called = sides != 0 && n >= group.spans[t] - sides;
          const std::uint64_t parent = called ? number - (group.spans[t] - sides) : n / 3 + 1 == number ? 1 : n / 3 + 1;
          span_id.assign(reinterpret_cast<const char*>(&parent), 8);
          span->set_parent_span_id(span_id);
        }
        span->set_name(fmt::format("GET /api/v1/resource/{}", n));
        if (shape.names > 1) span->mutable_name()->append(fmt::format("-{}", (g * shape.traces + t) % shape.names));
        const std::size_t sides = group.spans[t] * 2 / 5;
        span->set_kind(!shape.calls || n >= group.spans[t] - sides ? 2 : n < sides ? 3 : 1);
        span->set_start_time_unix_nano(start + n * 1'000'000);
        const std::uint64_t last_ms = kinds[t] == kSlow && n + 1 == group.spans[t] ? 1500 : 20;
        span->set_end_time_unix_nano(start + (n + last_ms) * 1'000'000);
        const bool on_route = kinds[t] == kRoute && n == 0;
        attribute(span->add_attributes(), "http.route", on_route ? "/checkout" : "/api/v1/resource/{id}");
        for (std::size_t a = 1; a < shape.attributes; ++a) {
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
