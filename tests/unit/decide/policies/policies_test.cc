// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include <cmath>

#include "base/hash.h"
#include "decide/policies/probabilistic.h"
#include "decide/registry.h"
#include "unit/decide/policies/judge.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("always_sample keeps", "[decide]") { CHECK(keeps("{name: p, type: always_sample}", {{}})); }

TEST_CASE("_debug keeps with certainty what a sender marked, and a drop policy goes before it", "[decide]") {
  const Policies policies(
      "[{name: rare, type: probabilistic, probabilistic: {sampling_percentage: 0}}, {name: health, type: drop, drop: "
      "{drop_sub_policy: [{name: h, type: string_attribute, string_attribute: {key: http.route, values: "
      "[/health]}}]}}]",
      {{.policies = {}}, {.policies = {"_debug"}}}, 1, {.keep_marked = true});
  const auto marked = [](const char* route) {
    auto data = traces({{.id = 1, .attributes = {{"http.route", route}}}, {.id = 2}});
    data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(1)->set_keep_mark(1);
    return data.SerializeAsString();
  };
  const Verdict kept = judge(policies, marked("/pay"));
  CHECK(kept.decision == Decision::kSampled);
  CHECK(policies.tables->names.name_of(kept.policy) == "_debug");
  CHECK_FALSE(kept.chance);
  CHECK(policies.tables->routes.exporters_of(kept.route) == 0b11);
  const Verdict dropped = judge(policies, marked("/health"));
  CHECK(dropped.decision == Decision::kDropped);
  CHECK(policies.tables->names.name_of(dropped.policy) == "health");
  CHECK(judge(policies, request({{.attributes = {{"http.route", "/pay"}}}})).decision == Decision::kNotSampled);
}

TEST_CASE("latency keeps a trace over the threshold and not at it", "[decide]") {
  const std::string slow = "{name: p, type: latency, latency: {threshold_ms: 500}}";
  CHECK(keeps(slow, {{.start_ms = 0, .end_ms = 501}}));
  CHECK_FALSE(keeps(slow, {{.start_ms = 0, .end_ms = 500}}));
  CHECK(keeps(slow, {{.id = 1, .start_ms = 100, .end_ms = 110}, {.id = 2, .start_ms = 605, .end_ms = 611}}));
}

TEST_CASE("a span without a start or with an absurd end makes no trace slow, nor fast", "[decide]") {
  const Policies slow("[{name: p, type: latency, latency: {threshold_ms: 500}}]");
  const Policies endpoint("[{name: p, type: endpoint, endpoint: [{span: a, latency: 500ms}]}]");
  const Policies by_root("[{name: p, type: trace, trace: {condition: 'root.duration > 500ms or duration > 500ms'}}]");
  const Policies unknown("[{name: p, type: trace, trace: {condition: 'root.duration == nil'}}]");
  const auto keeps = [](const Policies& policies, const twin::TracesData& data) {
    return judge(policies, data.SerializeAsString()).decision == Decision::kSampled;
  };
  for (const bool first : {true, false}) {
    for (const auto& [start, end] : {std::pair<std::uint64_t, std::uint64_t>{0, 1'700'000'000'020'000'000},
                                     {0, 20'000'000},
                                     {1'700'000'000'000'000'000, 0},
                                     {1'700'000'000'000'000'000, UINT64_MAX},
                                     {1'700'000'000'000'000'000, INT64_MAX},
                                     {UINT64_MAX, UINT64_MAX}}) {
      auto fast = traces({{.id = 1, .end_ms = 20, .name = "a"}, {.id = 2, .parent = 1, .end_ms = 20, .name = "a"}});
      auto late = traces({{.id = 1, .end_ms = 900, .name = "b"}, {.id = 2, .parent = 1, .end_ms = 900, .name = "b"}});
      for (twin::TracesData* data : {&fast, &late}) {
        auto& odd = *data->mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(first ? 0 : 1);
        odd.set_start_time_unix_nano(start);
        odd.set_end_time_unix_nano(end);
      }
      CAPTURE(first, start, end);
      CHECK_FALSE(keeps(slow, fast));
      CHECK_FALSE(keeps(endpoint, fast));
      CHECK_FALSE(keeps(by_root, fast));
      CHECK(keeps(slow, late));
      CHECK(keeps(by_root, late));
      CHECK(keeps(unknown, fast) == first);  // the root is the first span without a parent
    }
  }
}

TEST_CASE("latency asks the upper bound of the whole trace, in any order of its spans", "[decide]") {
  const std::string between = "{name: p, type: latency, latency: {threshold_ms: 10, upper_threshold_ms: 50}}";
  CHECK(keeps(between, {{.start_ms = 0, .end_ms = 50}}));
  CHECK_FALSE(keeps(between, {{.start_ms = 0, .end_ms = 51}}));
  CHECK_FALSE(keeps(between, {{.id = 1, .start_ms = 0, .end_ms = 20}, {.id = 2, .start_ms = 0, .end_ms = 200}}));
}

TEST_CASE("status_code keeps a trace with any span of a listed code", "[decide]") {
  const std::string errors = "{name: p, type: status_code, status_code: {status_codes: [ERROR]}}";
  CHECK(keeps(errors, {{.id = 1}, {.id = 2, .status = 2}}));
  CHECK_FALSE(keeps(errors, {{.id = 1}, {.id = 2, .status = 1}}));
  CHECK(keeps("{name: p, type: status_code, status_code: {status_codes: [UNSET, OK]}}", {{.status = 0}}));
}

TEST_CASE("span_count bounds are inclusive and a written 0 means 0", "[decide]") {
  const std::string two = "{name: p, type: span_count, span_count: {min_spans: 2, max_spans: 2}}";
  CHECK_FALSE(keeps(two, {{.id = 1}}));
  CHECK(keeps(two, {{.id = 1}, {.id = 2}}));
  CHECK_FALSE(keeps(two, {{.id = 1}, {.id = 2}, {.id = 3}}));
  CHECK_FALSE(keeps("{name: p, type: span_count, span_count: {max_spans: 0}}", {{.id = 1}}));
  CHECK(keeps("{name: p, type: span_count, span_count: {min_spans: 1}}", {{.id = 1}}));
}

TEST_CASE("string_attribute matches exact values on span and resource", "[decide]") {
  const std::string route = "{name: p, type: string_attribute, string_attribute: {key: http.route, values: [/a, /b]}}";
  CHECK(keeps(route, {{.attributes = {{"http.route", "/b"}}}}));
  CHECK_FALSE(keeps(route, {{.attributes = {{"http.route", "/bb"}}}}));
  CHECK_FALSE(keeps(route, {{.attributes = {{"http.target", "/a"}}}}));
  CHECK(keeps("{name: p, type: string_attribute, string_attribute: {key: service.name, values: [web]}}", {{}}));
  // with duplicate keys the first wins
  CHECK_FALSE(keeps(route, {{.attributes = {{"http.route", "/x"}, {"http.route", "/a"}}}}));
}

TEST_CASE("string_attribute patterns are RE2 and not anchored", "[decide]") {
  const std::string pattern =
      "{name: p, type: string_attribute, string_attribute: {key: http.route, values: ['/pay/[0-9]+', ^health$], "
      "enabled_regex_matching: true}}";
  CHECK(keeps(pattern, {{.attributes = {{"http.route", "/v1/pay/42/x"}}}}));
  CHECK(keeps(pattern, {{.attributes = {{"http.route", "health"}}}}));
  CHECK_FALSE(keeps(pattern, {{.attributes = {{"http.route", "healthy"}}}}));
  const std::string utf8 =
      "{name: p, type: string_attribute, string_attribute: {key: K, values: ['^caf[éè]$'], enabled_regex_matching: "
      "true}}";
  CHECK(keeps(utf8, {{.attributes = {{"K", "café"}}}}));
  CHECK_FALSE(keeps(utf8, {{.attributes = {{"K", "cafe"}}}}));
  // an empty value of a span never matches, one of a resource matches what matches ""
  const std::string any =
      "{name: p, type: string_attribute, string_attribute: {key: K, values: ['.*'], enabled_regex_matching: true}}";
  CHECK_FALSE(keeps(any, {{.attributes = {{"K", ""}}}}));
  auto data = traces({{}});
  auto* attribute = data.mutable_resource_spans(0)->mutable_resource()->add_attributes();
  attribute->set_key("K");
  attribute->mutable_value()->set_int_value(5);
  CHECK(judge(Policies("[" + any + "]"), data.SerializeAsString()).decision == Decision::kSampled);
}

TEST_CASE("string_attribute with invert_match keeps what nothing matches", "[decide]") {
  const std::string others =
      "{name: p, type: string_attribute, string_attribute: {key: http.route, values: [/health], invert_match: true}}";
  CHECK_FALSE(keeps(others, {{.id = 1}, {.id = 2, .attributes = {{"http.route", "/health"}}}}));
  CHECK(keeps(others, {{.id = 1}, {.id = 2, .attributes = {{"http.route", "/a"}}}}));
}

TEST_CASE("probabilistic thresholds and hashes are contrib's to the bit", "[decide]") {
  CHECK(probabilistic_threshold(0.1) == 0x004189374bc6a7ef);
  CHECK(probabilistic_threshold(1) == 0x028f5c28f5c28f5f);
  CHECK(probabilistic_threshold(5) == 0x0cccccccccccccff);
  CHECK(probabilistic_threshold(10) == 0x19999999999999ff);
  CHECK(probabilistic_threshold(25) == 0x3fffffffffffffff);
  CHECK(probabilistic_threshold(33.3) == 0x553f7ced91686fff);
  CHECK(probabilistic_threshold(50) == 0x7fffffffffffffff);
  CHECK(probabilistic_threshold(99.9) == 0xffbe76c8b4395fff);
  CHECK(probabilistic_threshold(100) == UINT64_MAX);
  CHECK(probabilistic_threshold(250) == UINT64_MAX);
  CHECK(probabilistic_threshold(0) == 0);

  const auto h = [](const char* hex, std::string_view salt = "default-hash-seed") {
    return fnv1a(TraceId::from_hex(hex)->view(), fnv1a(salt));
  };
  CHECK(h("00000000000000000000000000000000") == 0xe19536eed1bbac3d);
  CHECK(h("00000000000000000000000000000001") == 0xe19535eed1bbaa8a);
  CHECK(h("0102030405060708090a0b0c0d0e0f10") == 0xdbcf64d5420f4cad);
  CHECK(h("4bf92f3577b34da6a3ce929d0e0e4736") == 0xa54533ba2e4970b5);
  CHECK(h("ffffffffffffffffffffffffffffffff") == 0x17bec3739634fe2d);
  CHECK(h("00000000000000000000000000000000", "a") == 0xda0b881500262f8c);
  CHECK(h("4bf92f3577b34da6a3ce929d0e0e4736", "a") == 0xa7dcb3cdd79b8980);
}

TEST_CASE("probabilistic keeps its share and says that it went by chance", "[decide]") {
  const Policies tenth("[{name: p, type: probabilistic, probabilistic: {sampling_percentage: 10}}]");
  std::size_t kept = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const Verdict verdict = judge(tenth, request({{.trace = (i + 1) * 0x9e3779b97f4a7c15}}));
    kept += verdict.decision == Decision::kSampled;
    if (verdict.decision == Decision::kSampled) CHECK(verdict.by_chance());
  }
  CHECK(kept > 900);
  CHECK(kept < 1100);
}

TEST_CASE("and needs all, not swaps, drop beats everything", "[decide]") {
  const std::string slow = "{name: s, type: latency, latency: {threshold_ms: 100}}";
  const std::string error = "{name: e, type: status_code, status_code: {status_codes: [ERROR]}}";
  const std::string both = "{name: p, type: and, and: {and_sub_policy: [" + slow + ", " + error + "]}}";
  CHECK(keeps(both, {{.end_ms = 200, .status = 2}}));
  CHECK_FALSE(keeps(both, {{.end_ms = 200}}));
  CHECK_FALSE(keeps(both, {{.status = 2}}));
  CHECK(keeps("{name: p, type: not, not: {not_sub_policy: " + error + "}}", {{}}));
  CHECK_FALSE(keeps("{name: p, type: not, not: {not_sub_policy: " + error + "}}", {{.status = 2}}));
  CHECK(keeps("{name: p, type: and, and: {and_sub_policy: [" + slow +
                  ", {name: n, type: not, not: {not_sub_policy: " + error + "}}]}}",
              {{.end_ms = 200}}));

  const Policies set("[" + error + ", {name: d, type: drop, drop: {drop_sub_policy: [" + slow + "]}}]");
  CHECK(judge(set, request({{.end_ms = 200, .status = 2}})).decision == Decision::kDropped);
  CHECK(judge(set, request({{.end_ms = 50, .status = 2}})).decision == Decision::kSampled);
  CHECK(judge(set, request({{.end_ms = 50}})).decision == Decision::kNotSampled);
}

TEST_CASE("the first that keeps gives the name, and exporters get what they asked for", "[decide]") {
  const std::string yaml =
      "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}},"
      " {name: slow, type: latency, latency: {threshold_ms: 100}}]";
  // exporter 0 takes all, 1 only slow ones, 2 only errors
  const Policies set(yaml, {{}, {{"slow"}}, {{"errors"}}});
  const auto exporters = [&](const std::vector<SpanSpec>& spans) {
    const Verdict verdict = judge(set, request(spans));
    return std::pair(set.tables->names.name_of(verdict.policy), set.tables->routes.exporters_of(verdict.route));
  };
  CHECK(exporters({{.end_ms = 200, .status = 2}}) == std::pair<std::string, std::uint64_t>("errors", 0b111));
  CHECK(exporters({{.end_ms = 200}}) == std::pair<std::string, std::uint64_t>("slow", 0b011));
  CHECK(exporters({{.status = 2}}) == std::pair<std::string, std::uint64_t>("errors", 0b101));
}

TEST_CASE("exporters get the traces of the services and with the attributes they asked for", "[decide]") {
  const std::string yaml =
      "[{name: all, type: always_sample}, {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";
  const Policies set(yaml, {{},
                            {{}, {"check*", "cart"}},
                            {{}, {}, {{"http.route", {"/pay/**", "/cart"}}, {"code", {"500"}}}},
                            {{"errors"}, {"web"}}});
  const auto exporters = [&](const std::vector<SpanSpec>& spans, const std::string& service = "web") {
    return set.tables->routes.exporters_of(judge(set, request(spans, service)).route);
  };
  CHECK(exporters({{}}) == 0b0001);
  CHECK(exporters({{}}, "checkout") == 0b0011);
  CHECK(exporters({{}}, "cart") == 0b0011);
  CHECK(exporters({{}}, "cart2") == 0b0001);
  CHECK(exporters({{.status = 2}}) == 0b1001);
  CHECK(exporters({{.status = 2}}, "cart") == 0b0011);
  const SpanSpec pay{.id = 1, .attributes = {{"http.route", "/pay/1/2"}}},
      code{.id = 2, .attributes = {{"code", "500"}}};
  CHECK(exporters({pay, code}) == 0b0101);  // of two spans
  CHECK(exporters({pay}) == 0b0001);

  twin::TracesData number = traces({pay});
  auto& code_number = *number.mutable_resource_spans(0)->mutable_resource()->add_attributes();
  code_number.set_key("code");
  code_number.mutable_value()->set_int_value(500);
  CHECK(set.tables->routes.exporters_of(judge(set, number.SerializeAsString()).route) == 0b0101);
}

TEST_CASE("a certain keep is not by chance, whoever else kept by chance", "[decide]") {
  const Policies set(
      "[{name: all, type: probabilistic, probabilistic: {sampling_percentage: 99.99}},"
      " {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]");
  CHECK(judge(set, request({{.trace = 3}})).by_chance());
  CHECK_FALSE(judge(set, request({{.trace = 3, .status = 2}})).by_chance());
}

TEST_CASE("numeric_attribute bounds are inclusive, a written 0 means 0, other types read as 0", "[decide]") {
  const auto with = [](const char* policy, auto&& set) {
    twin::TracesData data = traces({{}});
    set(*data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0));
    return judge(Policies(std::string("[{name: p, type: numeric_attribute, numeric_attribute: ") + policy + "}]"),
                 data.SerializeAsString())
               .decision == Decision::kSampled;
  };
  const auto number = [](std::int64_t n) {
    return [n](twin::Span& span) {
      auto* a = span.add_attributes();
      a->set_key("n");
      a->mutable_value()->set_int_value(n);
    };
  };
  CHECK(with("{key: n, min_value: 5, max_value: 7}", number(5)));
  CHECK(with("{key: n, min_value: 5, max_value: 7}", number(7)));
  CHECK_FALSE(with("{key: n, min_value: 5, max_value: 7}", number(8)));
  CHECK_FALSE(with("{key: n, min_value: 0}", number(-1)));
  CHECK_FALSE(with("{key: n, max_value: 0}", number(1)));
  CHECK(with("{key: n, max_value: 5}", number(-7)));
  const auto text = [](twin::Span& span) {
    auto* a = span.add_attributes();
    a->set_key("n");
    a->mutable_value()->set_string_value("6");
  };
  CHECK_FALSE(with("{key: n, min_value: 5}", text));
  CHECK(with("{key: n, min_value: -5, max_value: 5}", text));
  CHECK(with("{key: n, min_value: 5, invert_match: true}", text));
  CHECK(with("{key: n, min_value: 5, invert_match: true}", [](twin::Span&) {}));
}

TEST_CASE("boolean_attribute: a value of another type reads as false", "[decide]") {
  const std::string yes = "{name: p, type: boolean_attribute, boolean_attribute: {key: vip, value: true}}";
  const std::string no = "{name: p, type: boolean_attribute, boolean_attribute: {key: vip, value: false}}";
  CHECK_FALSE(keeps(yes, {{.attributes = {{"vip", "true"}}}}));
  CHECK(keeps(no, {{.attributes = {{"vip", "true"}}}}));
  CHECK_FALSE(keeps(no, {{}}));
}

TEST_CASE("a bound without a value is no bound", "[decide]") {
  CHECK(Policies("[{name: p, type: numeric_attribute, numeric_attribute: {key: k, min_value: , max_value: ~}}]")
            .errors.size() == 1);
  const Policies latency("[{name: p, type: latency, latency: {threshold_ms: 5, upper_threshold_ms: ~}}]");
  CHECK(judge(latency, request({{.end_ms = 1000}})).decision == Decision::kSampled);
  const Policies endpoint("[{name: p, type: endpoint, endpoint: [{span: a, latency: }]}]");
  CHECK(judge(endpoint, request({{.start_ms = 7, .end_ms = 7, .name = "a"}})).decision == Decision::kSampled);
}

TEST_CASE("a rate of 0 keeps nothing", "[decide]") {
  for (const char* policy : {"type: rate_limiting, rate_limiting: {spans_per_second: 0}",
                             "type: rate_limiting, rate_limiting: {spans_per_second: 0, burst_capacity: 1000}",
                             "type: bytes_limiting, bytes_limiting: {bytes_per_second: 0}"}) {
    INFO(policy);
    CHECK(judge(Policies(std::string("[{name: p, ") + policy + "}]"), request({{}})).decision == Decision::kNotSampled);
  }
}

TEST_CASE("the largest rate is no limit, and a wrong one is said once", "[decide]") {
  const Policies largest("[{name: p, type: rate_limiting, rate_limiting: {spans_per_second: 9223372036854775807}}]");
  CHECK(judge(largest, request({{}})).decision == Decision::kSampled);
  for (const std::string rate : {"-5", "5MiB", "99999999999999999999", "~"}) {
    INFO(rate);
    CHECK(Policies("[{name: p, type: rate_limiting, rate_limiting: {spans_per_second: " + rate + "}}]").errors.size() ==
          1);
    CHECK(Policies("[{name: p, type: composite, composite: {max_total_spans_per_second: " + rate +
                   ", composite_sub_policy: [{name: a, type: always_sample}]}}]")
              .errors.size() == 1);
  }
}

TEST_CASE("rate_limiting keeps while there is room, for the process", "[decide]") {
  const Policies set("[{name: p, type: rate_limiting, rate_limiting: {spans_per_second: 2, burst_capacity: 3}}]");
  CHECK(judge(set, request({{.id = 1}, {.id = 2}})).decision == Decision::kSampled);
  CHECK(judge(set, request({{.id = 1}, {.id = 2}})).decision == Decision::kNotSampled);
  CHECK(judge(set, request({{.id = 1}})).by_chance());
  CHECK(judge(set, request({{.id = 1}})).decision == Decision::kNotSampled);
}

TEST_CASE("limits in one list are apart, also without names or with the same one", "[decide]") {
  const std::string limit = "type: rate_limiting, rate_limiting: {spans_per_second: 100, burst_capacity: 3}}";
  const std::vector<SpanSpec> two = {{.id = 1}, {.id = 2}};
  for (const std::string name : {"", "name: cap, "}) {
    INFO(name);
    CHECK(keeps("{name: p, type: and, and: {and_sub_policy: [{" + name + limit + ", {" + name + limit + "]}}", two));
  }
}

TEST_CASE("rate_limiting by traces: one a second is one a second, whatever its size", "[decide]") {
  const Policies set("[{name: p, type: rate_limiting, rate_limiting: {traces_per_second: 1}}]");
  const auto kept = [&] {
    return judge(set, request({{.id = 1}, {.id = 2}, {.id = 3}})).decision == Decision::kSampled;
  };
  CHECK(kept());
  CHECK(kept());  // a burst of twice the rate
  CHECK_FALSE(kept());
  // Less than one a second: a whole one can be saved up.
  const Policies rare("[{name: p, type: rate_limiting, rate_limiting: {traces_per_second: 0.1}}]");
  CHECK(judge(rare, request({{}})).decision == Decision::kSampled);
  CHECK(judge(rare, request({{}})).decision == Decision::kNotSampled);
}

TEST_CASE("with `per` each value of an attribute has the rate for itself", "[decide]") {
  const Policies set(
      "[{name: p, type: rate_limiting, rate_limiting: {traces_per_second: 1, burst_capacity: 1, per: service.name}}]");
  const auto kept = [&](const std::string& service, std::vector<SpanSpec> spans = {{}}) {
    return judge(set, request(spans, service)).decision == Decision::kSampled;
  };
  for (const char* service : {"web", "cart", "pay"}) {
    INFO(service);
    CHECK(kept(service));
    CHECK_FALSE(kept(service));
  }
  // A span's own attribute goes before its resource's.
  CHECK(kept("web", {{.attributes = {{"service.name", "other"}}}}));
  CHECK_FALSE(kept("other"));

  const Policies by_route("[{name: p, type: bytes_limiting, bytes_limiting: {bytes_per_second: 10000, per: route}}]");
  for (const char* route : {"/a", "/b", ""}) {  // "": also the traces without the attribute
    std::size_t n = 0;
    while (n < 1000 &&
           judge(by_route, request({{.attributes = {{"route", route + std::string(*route ? "" : "x")}}}})).decision ==
               Decision::kSampled) {
      ++n;
    }
    CHECK(n > 50);
    CHECK(n < 1000);
  }
  CHECK(judge(by_route, request({{}})).decision == Decision::kSampled);
}

TEST_CASE("the key of a trace is its root's value, in whatever order the spans come", "[decide]") {
  const SpanSpec root{.id = 1, .attributes = {{"tenant", "gold"}}};
  const std::vector<SpanSpec> others = {{.id = 2, .parent = 1, .attributes = {{"tenant", "silver"}}},
                                        {.id = 3, .parent = 1, .attributes = {{"tenant", "iron"}}},
                                        {.id = 4, .parent = 1, .attributes = {{"tenant", "lead"}}}};
  for (std::size_t at = 0; at <= others.size(); ++at) {
    const Policies set(
        "[{name: p, type: rate_limiting, rate_limiting: {traces_per_second: 1, burst_capacity: 1, per: tenant}}]");
    CHECK(judge(set, request({root})).decision == Decision::kSampled);
    std::vector<SpanSpec> spans = others;
    spans.insert(spans.begin() + static_cast<std::ptrdiff_t>(at), root);
    CHECK(judge(set, request(spans)).decision == Decision::kNotSampled);
  }
  // Without a root: the same one in any order.
  std::vector<SpanSpec> order = others;
  const Policies set(
      "[{name: p, type: rate_limiting, rate_limiting: {traces_per_second: 1, burst_capacity: 1, per: tenant}}]");
  CHECK(judge(set, request(order)).decision == Decision::kSampled);
  for (int turn = 0; turn < 3; ++turn) {
    std::rotate(order.begin(), order.begin() + 1, order.end());
    CHECK(judge(set, request(order)).decision == Decision::kNotSampled);
  }
}

TEST_CASE("a burst that a usual trace does not fit into is told", "[decide]") {
  const auto notices = [](const std::string& settings) {
    return Policies("[{name: p, type: rate_limiting, rate_limiting: {" + settings + "}}]").notices;
  };
  REQUIRE(notices("spans_per_second: 10").size() == 1);
  CHECK(notices("spans_per_second: 10")[0].find(
            "spans_per_second: a trace of more than 20 spans never passes; burst_capacity is twice the rate") !=
        std::string::npos);
  CHECK(notices("spans_per_second: 10, burst_capacity: 15")[0].find(
            "burst_capacity: a trace of more than 15 spans never passes") != std::string::npos);
  CHECK(notices("spans_per_second: 10, burst_capacity: 50").empty());
  CHECK(notices("spans_per_second: 25").empty());
  CHECK(notices("traces_per_second: 1").empty());
  CHECK(notices("traces_per_second: 1, keys_max: 5")[0].find("keys_max: has no effect without `per`") !=
        std::string::npos);
}

TEST_CASE("composite asks in policy_order and gives each its share of one total", "[decide]") {
  const std::string yaml =
      "[{name: p, type: composite, composite: {max_total_spans_per_second: 4, policy_order: [errors, rest], "
      "composite_sub_policy: "
      "[{name: rest, type: always_sample}, {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}], "
      "rate_allocation: [{policy: errors, percent: 75}, {policy: rest, percent: 50}]}}]";
  const Policies set(yaml);
  const auto kept = [&](int status) {
    return judge(set, request({{.status = status}})).decision == Decision::kSampled;
  };
  CHECK(kept(2));
  CHECK(kept(2));
  CHECK(kept(2));
  CHECK_FALSE(kept(2));  // its share is spent; `rest` would have room but does not take it over
  CHECK(kept(0));
  CHECK_FALSE(kept(0));  // its share is not, but the total is
}

TEST_CASE("endpoint: the first entry that a span meets decides", "[decide]") {
  const std::string api =
      "{name: p, type: endpoint, endpoint: [{service: web, route: '/pay/*', error: true}, {service: web, route: "
      "'/pay/*', latency: 300ms},"
      " {service: '*', route: '/pay/**', percentage: 0}, {service: 'w*', span: 'GET *'}]}";
  const auto pay = [](const char* route, std::uint64_t ms, int status = 0) {
    return std::vector<SpanSpec>{
        {.end_ms = ms, .status = status, .name = "GET x", .attributes = {{"http.route", route}}}};
  };
  CHECK(keeps(api, pay("/pay/card", 1, 2)));
  CHECK(keeps(api, pay("/pay/card", 301)));
  CHECK_FALSE(keeps(api, pay("/pay/card", 300)));     // the third entry is met before the fourth
  CHECK_FALSE(keeps(api, pay("/pay/card/x", 1000)));  // '*' ends at a '/'
  CHECK(keeps(api, pay("/other", 1)));
  CHECK(keeps(api, {{.name = "GET a b"}}));
  CHECK_FALSE(keeps(api, {{.name = "GET a/b"}}));
  CHECK_FALSE(keeps(api, {{.name = "POST x"}}));
  // error and latency are asked of the span that is the endpoint
  CHECK_FALSE(keeps(api, {{.id = 1, .name = "POST", .attributes = {{"http.route", "/pay/card"}}},
                          {.id = 2, .parent = 1, .end_ms = 900, .status = 2, .name = "q"}}));
  CHECK_FALSE(judge(Policies("[" + api + "]"), request(pay("/other", 1), "api")).decision == Decision::kSampled);
}

TEST_CASE("a policy cannot have the name of another one's rule", "[decide]") {
  const std::string rules =
      "{name: rules, type: first_match, first_match: [{name: slow, policy: {type: latency, latency: {threshold_ms: "
      "1}}}]}";
  const Policies both("[{name: rules/slow, type: always_sample}, " + rules + "]");
  REQUIRE(both.errors.size() == 1);
  CHECK(both.errors[0] ==
        "test.yaml:1:9: [0].name: expected a name that no rule or entry of a policy has, as POLICY/NAME, got "
        "'rules/slow'");

  // After a reload the name may be a policy's, which has votes to be counted.
  const Policies before("[" + rules + "]");
  NamesTable& names = before.tables->names;
  REQUIRE(names.is_part(names.find("rules/slow").at(0)));
  const Policies after("[{name: rules/slow, type: always_sample}]", {{}}, 2, {}, before.tables);
  CHECK(after.errors.empty());
  CHECK_FALSE(names.is_part(names.find("rules/slow").at(0)));
}

TEST_CASE("first_match: the first rule that matches decides with its share", "[decide]") {
  const std::string rules =
      "{name: p, type: first_match, first_match: [{policy: {type: status_code, status_code: {status_codes: [ERROR]}}},"
      " {policy: {type: latency, latency: {threshold_ms: 100}}, percentage: 0}, {percentage: 100}]}";
  CHECK(keeps(rules, {{.end_ms = 200, .status = 2}}));
  CHECK_FALSE(keeps(rules, {{.end_ms = 200}}));
  CHECK(keeps(rules, {{}}));
  const Policies shares(
      "[{name: p, type: first_match, first_match: [{policy: {type: latency, latency: {threshold_ms: 100}}, percentage: "
      "50}, {percentage: 5}]}]",
      {{}}, 1, {.use_tracestate = true});
  std::size_t slow = 0, rest = 0;
  for (std::uint64_t i = 1; i <= 4000; ++i) {
    const std::uint64_t id = i * 0x9e3779b97f4a7c15;
    const Verdict verdict = judge(shares, request({{.trace = id, .end_ms = 200}}));
    slow += verdict.decision == Decision::kSampled;
    if (verdict.by_chance()) CHECK(shares.tables->thresholds.value_of(verdict.threshold) == kNever / 2);
    rest += judge(shares, request({{.trace = id}})).decision == Decision::kSampled;
  }
  CHECK(std::abs(static_cast<long>(slow) - 2000) < 130);
  CHECK(std::abs(static_cast<long>(rest) - 200) < 60);
}

TEST_CASE("sample_on_first_match stops at the first vote to keep", "[decide]") {
  const Policies set(
      "[{name: a, type: always_sample}, {name: cap, type: rate_limiting, rate_limiting: {spans_per_second: 1}}]", {{}},
      1, {.sample_on_first_match = true});
  const Scanned scanned(request({{}}), set.set->plan());
  PolicyTally tally;
  std::vector<Ballot> ballots;
  const BatchTrace& trace = scanned.batch.traces[0];
  REQUIRE(set.set->decide({trace.id, trace.facts, scanned.batch.words_of(0)}, tally, ballots));
  CHECK(ballots[1].vote == Vote::kNotAsked);
  CHECK(tally.row(set.set->number_of(1)).sampled == 0);
}

TEST_CASE("a policy that contrib would judge otherwise says so", "[decide]") {
  const auto noticed = [](const std::string& policy) {
    const Policies policies("[" + policy + "]");
    REQUIRE(policies.errors.empty());
    return policies.notices.size();
  };
  CHECK(noticed("{name: p, type: latency, latency: {threshold_ms: 5}}") == 0);
  CHECK(noticed("{name: p, type: latency, latency: {threshold_ms: 5, upper_threshold_ms: 9}}") == 1);
  CHECK(noticed("{name: p, type: numeric_attribute, numeric_attribute: {key: a, min_value: 1, max_value: 5}}") == 0);
  CHECK(noticed("{name: p, type: numeric_attribute, numeric_attribute: {key: a, min_value: 0, max_value: 5}}") == 1);
  CHECK(noticed("{name: p, type: span_count, span_count: {max_spans: 0}}") == 1);
  CHECK(noticed("{name: p, type: composite, composite: {max_total_spans_per_second: 9, policy_order: [a], "
                "composite_sub_policy: "
                "[{name: a, type: always_sample}]}}") == 1);
}

TEST_CASE("policies that cannot be meant are errors that name the place", "[decide]") {
  const auto error = [](const std::string& yaml) {
    const Policies policies(yaml);
    return policies.errors.empty() ? std::string("none") : policies.errors[0];
  };
  CHECK(error("[{name: p, type: latency, latency: {threshold_ms: -5}}]").starts_with("test.yaml:1:"));
  CHECK(error("[{name: p, type: latency, latency: {threshold_ms: -5}}]").find("latency.threshold_ms") !=
        std::string::npos);
  CHECK(error("[{name: p, type: latency, latency: {treshold_ms: 5}}]").find("threshold_ms") != std::string::npos);
  CHECK(error("[{name: p, type: latencyy}]").find("latency") != std::string::npos);
  CHECK(error("[{type: always_sample}]").find("name") != std::string::npos);
  CHECK(error("[{name: a, type: always_sample}, {name: a, type: always_sample}]").find("name") != std::string::npos);
  CHECK(error("[{name: _a, type: always_sample}]").find("name") != std::string::npos);
  CHECK(error("[{name: p, type: status_code, status_code: {status_codes: []}}]") != "none");
  CHECK(error("[{name: p, type: status_code, status_code: {status_codes: [error]}}]").find("ERROR") !=
        std::string::npos);
  CHECK(error("[{name: p, type: string_attribute, string_attribute: {key: a, values: ['(']  , enabled_regex_matching: "
              "true}}]") != "none");
  CHECK(error("[{name: p, type: and, and: {and_sub_policy: []}}]") != "none");
  CHECK(error("[{name: p, type: drop, drop: {}}]") != "none");
  CHECK(error("[{name: p, type: not, not: {}}]") != "none");
  CHECK(error("[{name: p, type: and, and: {and_sub_policy: [{name: x, type: and, and: {and_sub_policy: []}}]}}]") !=
        "none");
  CHECK(error("[{name: p, type: probabilistic, probabilistic: {sampling_percentage: -1}}]") != "none");
}
