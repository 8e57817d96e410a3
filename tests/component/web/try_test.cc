// SPDX-License-Identifier: Apache-2.0
// How a trial of policies shares its time, over a store in a folder. What it says: component/daemon/query_test.py.
#include "web/try_page.h"

#include <catch2/catch.hpp>
#include <thread>

#include "base/clock.h"
#include "support/stored_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr Duration kTime = std::chrono::milliseconds(20);

// Takes more than all of the time for one trace, and judges for as long as it may.
class SlowTrial final : public PolicyTrial {
 public:
  bool add(std::string otlp) override {
    const Result<TraceView> view = TraceView::read(otlp);
    REQUIRE(view);
    ids_.push_back(TraceId::from(view->id().data()));
    std::this_thread::sleep_for(2 * kTime);
    return true;
  }
  Outcome finish(const std::function<bool()>& stop) override {
    Outcome out;
    for (const TraceId& id : ids_) {
      if (stop()) break;
      out.traces.push_back({id, true, "all", "because"});
    }
    return out;
  }

 private:
  std::vector<TraceId> ids_;
};

}  // namespace

TEST_CASE("a trial whose search took all of its time judges what was found, and says that there is more", "[web]") {
  const StoredFixture stored;
  QueryPool pool({.threads = 1});
  Pages pages;
  add_try_page(pages, pool, {.store = stored.reader(), .time_max = kTime},
               [](std::string_view, const std::string&) { return std::make_unique<SlowTrial>(); });
  RequestHead head;
  head.method = "POST";
  head.target = "/api/try";
  BodyBuffer body;
  REQUIRE_FALSE(pages.admit(head).refusal);
  REQUIRE(body.append(R"({"form":"span","text":"true"})"));
  Response response;
  pages.handle(head, body, response);
  REQUIRE(response.later);
  const WholeAnswer answer = whole_answer(*response.later);
  CHECK(answer.status == 200);
  INFO(answer.body);
  CHECK(answer.body.find(R"("traces":1,)") != std::string::npos);
  CHECK(answer.body.find(R"("cut":"")") == std::string::npos);
}
