// SPDX-License-Identifier: Apache-2.0
// What RootWatch counts of requests, against a count of the same spans by hand.
#include "head/root_watch.h"

#include <catch2/catch.hpp>
#include <map>
#include <random>

#include "head/head_sampling.h"
#include "otlp_twin.pb.h"
#include "wire/otlp/scan.h"

using namespace tailgate;

namespace {

void scan(SpanWatch& watch, const std::string& request, bool taken = true) {
  ScanPlan plan;
  plan.attribute_slot("service.name", Attributes::kOfResources);
  SpanBatch batch;
  const auto deliver = [&](SpanBatch&) {
    watch.taken(TimePoint());
    return true;
  };
  const ScanResult result = scan_request(request, plan, batch, deliver, &watch.begin(plan));
  REQUIRE(result.ok);
  taken ? watch.taken(TimePoint()) : watch.refused();
}

std::string id(std::mt19937_64& random, std::size_t size) {
  std::string out;
  while (out.size() < size) out += static_cast<char>(random() % 255 + 1);
  return out;
}

}  // namespace

TEST_CASE("roots, their errors and the slow ones are counted of what was taken", "[head]") {
  for (const bool entries : {false, true}) {
    AdaptiveConfig config;
    config.entries = entries;
    RootWatch watch(config, 1, 4);
    std::map<std::string, std::uint64_t> want;
    std::mt19937_64 random(17);
    std::uint64_t want_errors = 0, want_spans = 0;
    for (int request = 0; request < 200; ++request) {
      const bool taken = random() % 5 != 0;
      twin::TracesData data;
      for (std::uint64_t r = random() % 3; r > 0; --r) {
        auto* resource = data.add_resource_spans();
        const std::string service = "service-" + std::to_string(random() % 3);
        auto* attribute = resource->mutable_resource()->add_attributes();
        attribute->set_key("service.name");
        attribute->mutable_value()->set_string_value(service);
        auto* scope = resource->add_scope_spans();
        for (std::uint64_t n = random() % 20; n > 0; --n) {
          auto* span = scope->add_spans();
          span->set_trace_id(id(random, 16));
          span->set_span_id(id(random, 8));
          const std::string name = "op-" + std::to_string(random() % 4);
          span->set_name(name);
          if (random() % 2) span->set_parent_span_id(id(random, 8));
          span->set_kind(static_cast<std::int32_t>(random() % 6));
          if (random() % 4 == 0) span->mutable_status()->set_code(2);
          want_spans += taken;
          const bool entry = span->kind() == 2 || span->kind() == 5;
          if (!taken || (!span->parent_span_id().empty() && !(entries && entry))) continue;
          ++want[service + "/" + name];
          want_errors += span->status().code() == 2;
        }
      }
      scan(watch, data.SerializeAsString(), taken);
    }
    const RootWatch::Counted counted = watch.take();
    std::map<std::string, std::uint64_t> got;
    std::uint64_t errors = 0;
    for (const CountedRoots& one : counted.roots) {
      got[one.service + "/" + one.operation] = one.counts.roots;
      errors += one.counts.errors;
    }
    CHECK(counted.spans == want_spans);
    CHECK(watch.take().roots.empty());
    CHECK(got == want);
    CHECK(errors == want_errors);
    CHECK(watch.overflow_roots() == 0);
  }
}

TEST_CASE("a service whose names have ids in them takes room from nobody else", "[head]") {
  AdaptiveConfig config;
  config.services_max = 3;
  config.operations_max = 300;
  RootWatch watch(config, 1, 4);
  const auto add = [&](const std::string& service, const std::string& name) { watch.kept(service, name); };
  for (int i = 0; i < 1000; ++i) add("flood", "GET /" + std::to_string(i));
  for (int i = 0; i < 100; ++i) add("web", "op " + std::to_string(i % 50));
  add("shop", "");
  add("fourth", "op");
  std::map<std::string, std::uint64_t> kept, operations, others;
  for (const CountedRoots& one : watch.take().roots) {
    kept[one.service] += one.counts.kept;
    ++operations[one.service];
    if (one.operation.empty()) others[one.service] = one.counts.kept;
  }
  CHECK(kept == std::map<std::string, std::uint64_t>{{"flood", 1000}, {"web", 100}, {"shop", 1}});
  CHECK(operations["flood"] == AdaptiveConfig::kOperationsOfService + 1);
  CHECK(others["flood"] == 1000 - AdaptiveConfig::kOperationsOfService);
  CHECK(operations["web"] == 300 - AdaptiveConfig::kOperationsOfService + 1);
  add("fourth", "op");  // the next tick has room again
  CHECK(watch.take().roots.size() == 1);
}

TEST_CASE("an answer comes from the file, else from what came in, else from the default", "[head]") {
  RemoteSamplingConfig config;
  Strategies file({.probability = 0.5});
  file.set("named", {.kind = Strategy::Kind::kRateLimiting, .traces_per_second = 7});
  config.strategies = std::make_shared<const Strategies>(file);
  HeadSampling still(config, 1, 4, TimePoint());
  CHECK(still.watch() == nullptr);
  CHECK(still.json("other", TimePoint()) == strategy_json({.probability = 0.5}));
  CHECK(still.explain("") == "{\"by_file\":[\"named\"],\"adaptive\":null}\n");

  config.adaptive.emplace();
  config.adaptive->services_max = 1;
  HeadSampling head(config, 1, 4, TimePoint());
  twin::TracesData data;
  auto* resource = data.add_resource_spans();
  auto* attribute = resource->mutable_resource()->add_attributes();
  attribute->set_key("service.name");
  attribute->mutable_value()->set_string_value("shop");
  auto* span = resource->add_scope_spans()->add_spans();
  span->set_trace_id(std::string(16, 'T'));
  span->set_span_id(std::string(8, 'S'));
  span->set_name("GET /");
  scan(*head.watch(), data.SerializeAsString());
  CHECK(head.tick(TimePoint() + std::chrono::seconds(10)));
  CHECK(head.stats().operations == 1);
  const TimePoint now = TimePoint() + std::chrono::seconds(11);
  CHECK(head.json("shop", now).find(R"("perOperationStrategies":[{"operation":"GET /",)") != std::string::npos);
  CHECK(*head.grpc("\x0a\x05named", now) ==
        strategy_proto({.kind = Strategy::Kind::kRateLimiting, .traces_per_second = 7}));
  CHECK(head.json("one too many", now) == strategy_json({.probability = 0.5}));
  CHECK_FALSE(head.grpc("\x0a\x09named", now));
  CHECK(head.polls_http() == HeadSampling::Polls{0, 1, 1, 0});
  CHECK(head.polls_grpc() == HeadSampling::Polls{1, 0, 0, 1});
  CHECK(head.explain("shop").find(R"({"by_file":[],"adaptive":{"services":[{"service":"shop","polls_in_interval":)") ==
        0);
}
