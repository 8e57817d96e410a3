// SPDX-License-Identifier: Apache-2.0
// How a trial of policies shares its time, over a store in a folder. What it says: component/daemon/query_test.py.
#include "web/try_page.h"

#include <atomic>
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

namespace {

// What /api/try answers, or what will be its answer.
Response tried(Pages& pages, std::string_view question) {
  RequestHead head;
  head.method = "POST";
  head.target = "/api/try";
  BodyBuffer body;
  REQUIRE_FALSE(pages.admit(head).refusal);
  REQUIRE(body.append(question));
  Response response;
  pages.handle(head, body, response);
  return response;
}

}  // namespace

TEST_CASE("a trial of the past ends with its time, or when nobody waits for it, one at a time", "[web]") {
  std::atomic<int> begun{0}, ended{0};
  std::atomic<bool> wrong{false};
  const auto past = [&](const PastQuestion& question) -> Result<PastTried> {
    if (question.form != "span" || question.text != "true" || question.from_unix_ns != 0) wrong = true;
    ++begun;
    while (!question.stop()) std::this_thread::yield();
    ++ended;
    PastTried out;
    out.requests = 1;
    out.cut = true;
    return out;
  };
  const auto none = [](std::string_view, const std::string&) -> Result<std::unique_ptr<PolicyTrial>> {
    return fail(ErrorKind::kBadInput, "not asked");
  };
  const std::string_view question = R"({"form":"span","text":"true","of":"received"})";
  {
    QueryPool pool({.threads = 1});
    Pages pages;
    add_try_page(pages, pool, {.store = nullptr, .past = past, .time_max = kTime}, none);
    const Response response = tried(pages, question);
    REQUIRE(response.later);
    const WholeAnswer answer = whole_answer(*response.later);
    CHECK(answer.status == 200);
    CHECK(answer.body.find(R"("cut":"The limits)") != std::string::npos);
    CHECK(pool.stats().cut == 1);
  }
  QueryPool pool({.threads = 2});
  Pages pages;
  add_try_page(pages, pool, {.store = nullptr, .past = past, .time_max = std::chrono::hours(1)}, none);
  const Response response = tried(pages, question);
  REQUIRE(response.later);
  while (begun != 2) std::this_thread::yield();
  const Response second = tried(pages, question);
  REQUIRE(second.later);
  CHECK(whole_answer(*second.later).status == 503);
  response.later->cancel();
  while (ended != 2) std::this_thread::yield();
  CHECK_FALSE(wrong);
}

TEST_CASE("a trial whose search took all of its time judges what was found, and says that there is more", "[web]") {
  const StoredFixture stored;
  QueryPool pool({.threads = 1});
  Pages pages;
  add_try_page(pages, pool, {.store = stored.reader(), .time_max = kTime},
               [](std::string_view, const std::string&) { return std::make_unique<SlowTrial>(); });
  const Response response = tried(pages, R"({"form":"span","text":"true"})");
  REQUIRE(response.later);
  const WholeAnswer answer = whole_answer(*response.later);
  CHECK(answer.status == 200);
  INFO(answer.body);
  CHECK(answer.body.find(R"("traces":1,)") != std::string::npos);
  CHECK(answer.body.find(R"("cut":"")") == std::string::npos);
}
