// SPDX-License-Identifier: Apache-2.0
// A service with a name of megabytes, and thousands of roots.
#include <catch2/catch.hpp>

#include "head/root_watch.h"
#include "support/otlp_builder.h"
#include "support/thread_time.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("a service's name of megabytes costs its roots nothing", "[head]") {
  std::vector<SpanSpec> specs;
  for (std::uint64_t i = 1; i <= 8000; ++i) specs.push_back({.trace = i});
  RootWatch watch({}, 1, 7);
  ScanPlan plan;
  plan.attribute_slot("service.name", Attributes::kOfResources);
  const auto seconds_for = [&](const std::string& service) {
    const std::string bytes = request(specs, service);
    return cpu_seconds_of([&] {
      SpanBatch batch;
      scan_request(
          bytes, plan, batch, [](SpanBatch&) { return true; }, &watch.begin(plan));
      watch.taken(TimePoint{});
    });
  };
  const double usual = seconds_for("web"), hostile = seconds_for(std::string(16u << 20, 'x'));
  INFO(usual << " s with a short name, " << hostile << " s with a long one");
  CHECK(hostile < 5 * usual + 1);
  CHECK(watch.overflow_roots() == 8000);
}
