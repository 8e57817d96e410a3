// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include "net/http/later_answer.h"
#include "web/keep_page.h"

using namespace tailgate;

namespace {

// A member's jobs, told what they say.
struct ToldJobs final : KeepSource {
  std::string number = "1";
  KeepStatus says;
  std::vector<KeepRequest> begun;
  int cancelled = 0;
  bool refuses = false;
  Result<std::string> begin(KeepRequest request) override {
    if (refuses) return fail(ErrorKind::kRefused, "too many jobs");
    begun.push_back(std::move(request));
    return number;
  }
  Result<std::string> begin_for(const Alert& alert) override {
    if (refuses && alert.name != "other") return fail(ErrorKind::kRefused, "too many jobs");
    if (alert.name == "known") return number;
    return fail(ErrorKind::kBadInput, "no condition");
  }
  std::optional<KeepStatus> status(std::string_view job) const override {
    if (job != number) return std::nullopt;
    KeepStatus out = says;
    out.job = number;
    return out;
  }
  std::vector<KeepStatus> jobs() const override { return {*status(number)}; }
  std::vector<std::uint64_t> triggers;
  bool triggered_elsewhere(std::uint64_t unix_ns) override {
    if (!refuses) triggers.push_back(unix_ns);
    return !refuses;
  }
  bool cancel(std::string_view job) override { return job == number && ++cancelled != 0; }
};

// Three members; what `a` says for all of them.
struct Fleet {
  std::array<ToldJobs, 3> jobs;
  std::array<Pages, 3> own;
  Pages pages;
  bool c_answers = true;

  explicit Fleet(bool allowed = true) {
    for (std::size_t i = 0; i != 3; ++i) {
      jobs[i].number = std::to_string(i + 5);
      jobs[i].says.state = "done";
      jobs[i].says.progress = 1;
      add_keep_page(own[i], jobs[i], true);
    }
    OtherMembers others;
    others.self = "a";
    others.count = [] { return std::size_t{2}; };
    others.ask = [this](const auto& question, const auto& done) {
      MemberAnswers out;
      for (std::size_t i = 1; i != 3; ++i) {
        const std::string name(1, static_cast<char>('a' + i));
        const std::optional<PageQuestion> asked = question(name);
        if (!asked) continue;
        if (i == 2 && !c_answers) {
          out.push_back({name, std::nullopt, "no answer in time"});
        } else {
          out.push_back({name, own[i].answer(*asked), ""});
        }
      }
      done(out);
    };
    add_fleet_keep_page(pages, own[0], others, allowed);
  }
  struct Said {
    int status = 0;
    boost::json::object json;
    std::string text(const char* key) { return std::string(json[key].as_string()); }
    std::uint64_t count(const char* key) { return json[key].to_number<std::uint64_t>(); }
  };
  Said ask(const std::string& method, const std::string& target, const std::string& body = "") {
    RequestHead head;
    head.method = method;
    head.target = target;
    BodyBuffer buffer;
    buffer.append(body);
    Response response;
    pages.handle(head, buffer, response);
    if (response.later != nullptr) {
      auto later = response.later->take_head();
      REQUIRE(later);
      response = std::move(later->response);
    }
    return {response.status, boost::json::parse(response.body).as_object()};
  }
};

constexpr const char* kIds = R"({"trace_ids":["1","2","3"],"reason":"r"})";

}  // namespace

TEST_CASE("every member begins a job, and the fleet's names them", "[web]") {
  Fleet fleet;
  Fleet::Said said = fleet.ask("POST", "/keep", kIds);
  CHECK(said.status == 202);
  CHECK(said.text("job") == "a=5,b=6,c=7");
  CHECK_FALSE(said.json.contains("unanswered"));
  for (const ToldJobs& one : fleet.jobs) CHECK(one.begun.at(0).ids.size() == 3);
  fleet.c_answers = false;
  fleet.jobs[0].refuses = true;
  said = fleet.ask("POST", "/keep", kIds);
  CHECK(said.text("job") == "b=6");
  CHECK(said.json["unanswered"].as_array().size() == 2);
  fleet.jobs[1].refuses = true;
  CHECK(fleet.ask("POST", "/keep", kIds).status == 503);
  fleet.c_answers = fleet.jobs[2].refuses = true;
  CHECK(fleet.ask("POST", "/keep", kIds).status == 429);
}

TEST_CASE("each member is asked for what the fleet was asked for, and divides the limit itself", "[web]") {
  Fleet fleet;
  fleet.ask("POST", "/keep", R"({"condition":"duration > 1s","reason":"r","limit":100})");
  for (const ToldJobs& one : fleet.jobs) CHECK(one.begun.at(0).limit == 100);
}

TEST_CASE("members tell each other of triggers", "[web]") {
  ToldJobs jobs;
  Pages pages;
  add_trigger_page(pages, jobs);
  const std::uint64_t when = 1'700'000'000'123'456'789;
  CHECK(pages.answer(tell_of_trigger(when)).status == 202);
  CHECK(jobs.triggers == std::vector{when});
  jobs.refuses = true;
  CHECK(pages.answer(tell_of_trigger(when)).status == 404);
  for (const char* body : {"", "[]", "{}", R"({"unix_ns":"1"})", R"({"unix_ns":-1})"})
    CHECK(pages.answer({"POST", "/keep/around", body}).status == 400);
  CHECK(jobs.triggers.size() == 1);
}

TEST_CASE("what is wrong is said at once, and no member is asked", "[web]") {
  Fleet fleet;
  CHECK(fleet.ask("POST", "/keep", R"({"reason":"r"})").status == 400);
  CHECK(fleet.ask("POST", "/keep", R"({"trace_ids":["1"],"reason":"r","limit":"x"})").status == 400);
  CHECK(fleet.ask("POST", "/keep", R"({"condition":"duration > 1s","reason":"r","again":true})").status == 400);
  CHECK(fleet.ask("POST", "/keep", R"({"trace_ids":["1"],"reason":"r","again":1})").status == 400);
  for (const ToldJobs& one : fleet.jobs) CHECK(one.begun.empty());
  CHECK(fleet.ask("POST", "/keep", R"({"trace_ids":["1"],"reason":"r","again":true})").status == 202);
  for (const ToldJobs& one : fleet.jobs) CHECK(one.begun.at(0).again);
  Fleet strangers(false);
  CHECK(strangers.ask("POST", "/keep", kIds).status == 403);
  CHECK(strangers.ask("DELETE", "/keep/a=5").status == 403);
  CHECK(strangers.ask("GET", "/keep/a=5").status == 200);
}

TEST_CASE("the state of a fleet's job is that of all, and each id is found once", "[web]") {
  Fleet fleet;
  fleet.jobs[0].says.kept_traces = 1;
  fleet.jobs[0].says.kept_spans = 7;
  fleet.jobs[0].says.not_found = 2;
  fleet.jobs[1].says.already_kept = 1;
  fleet.jobs[1].says.not_found = 2;
  fleet.jobs[2].says.not_found = 3;
  Fleet::Said said = fleet.ask("GET", "/keep/a=5,b=6,c=7");
  CHECK(said.status == 200);
  CHECK(said.text("state") == "done");
  CHECK(said.count("kept_traces") == 1);
  CHECK(said.count("kept_spans") == 7);
  CHECK(said.count("already_kept") == 1);
  CHECK(said.count("not_found") == 1);
  CHECK(said.json["members"].as_array().size() == 3);
  fleet.jobs[1].says.state = "running";
  fleet.jobs[1].says.progress = 0.25;
  said = fleet.ask("GET", "/keep/a=5,b=6,c=7");
  CHECK(said.text("state") == "running");
  CHECK(said.json["progress"].to_number<double>() == Approx(0.75));
  fleet.c_answers = false;
  said = fleet.ask("GET", "/keep/b=6,c=7,gone=1");
  CHECK(said.json["unanswered"].as_array().size() == 2);
  CHECK(said.json["members"].as_array().size() == 1);
  CHECK(fleet.ask("GET", "/keep/c=7").status == 503);
  CHECK(fleet.ask("GET", "/keep/5").text("state") == "done");  // this member's alone
  CHECK(fleet.ask("GET", "/keep/5,6").status == 404);
}

TEST_CASE("a fleet's job is cancelled on all members", "[web]") {
  Fleet fleet;
  CHECK(fleet.ask("DELETE", "/keep/a=5,c=7").status == 200);
  CHECK(fleet.jobs[0].cancelled == 1);
  CHECK(fleet.jobs[1].cancelled == 0);
  CHECK(fleet.jobs[2].cancelled == 1);
}

TEST_CASE("alerts begin jobs on all members", "[web]") {
  Fleet fleet;
  const auto alert = [](const std::string& name) {
    return R"({"alerts":[{"status":"firing","startsAt":"2026-01-01T00:00:00Z","labels":{"alertname":")" + name +
           R"("}}]})";
  };
  Fleet::Said said = fleet.ask("POST", "/keep/alert", alert("known"));
  CHECK(said.status == 202);
  CHECK(said.json["jobs"] == boost::json::array{"a=5", "b=6", "c=7"});
  said = fleet.ask("POST", "/keep/alert", alert("other"));
  CHECK(said.status == 400);
}

TEST_CASE("alerts that there is no room for now are sent again by Alertmanager", "[web]") {
  Fleet fleet;
  const std::string two = R"({"alerts":[{"startsAt":"2026-01-01T00:00:00Z","labels":{"alertname":"known"}},)"
                          R"({"startsAt":"2026-01-01T00:00:00Z","labels":{"alertname":"NAME"}}]})";
  const auto with = [&](const std::string& name) {
    std::string out = two;
    return out.replace(out.find("NAME"), 4, name);
  };
  // One that no condition belongs to is said, and the other one is begun.
  Fleet::Said said = fleet.ask("POST", "/keep/alert", with("other"));
  CHECK(said.status == 202);
  CHECK(said.json["jobs"].as_array().size() == 3);
  CHECK(said.json["errors"].as_array().size() == 3);
  fleet.jobs[1].refuses = true;
  said = fleet.ask("POST", "/keep/alert", with("known"));
  CHECK(said.status == 503);
  CHECK(said.json["jobs"].as_array().size() == 4);
  CHECK(said.json["errors"].as_array().size() == 2);
  const PageAnswer alone = fleet.own[1].answer({"POST", "/keep/alert", with("other")});
  CHECK(alone.status == 503);  // what is wrong with the one does not hide that the other one may be begun later
}

TEST_CASE("the jobs of all members are listed, with what was asked of each", "[web]") {
  Fleet fleet;
  fleet.jobs[0].says.begun_unix_ns = 1'700'000'000'000'000'000;
  fleet.jobs[0].says.request = {.ids = {TraceId(), TraceId()}, .reason = "r", .kind = "ids"};
  fleet.jobs[1].says.begun_unix_ns = 1'700'000'100'000'000'000;
  fleet.jobs[1].says.request = {.condition = "duration > 1s",
                                .from_unix_ns = 1'700'000'000'000'000'000,
                                .limit = 7,
                                .reason = "alert A",
                                .kind = "alert"};
  fleet.jobs[1].says.cut = "keep.search_time";
  fleet.c_answers = false;
  Fleet::Said said = fleet.ask("GET", "/keep");
  CHECK(said.status == 200);
  CHECK(said.json["unanswered"].as_array().size() == 1);
  const boost::json::array& jobs = said.json["jobs"].as_array();
  REQUIRE(jobs.size() == 2);
  const boost::json::object &newer = jobs[0].as_object(), &older = jobs[1].as_object();
  CHECK(newer.at("job") == "b=6");
  CHECK(newer.at("member") == "b");
  CHECK(newer.at("kind") == "alert");
  CHECK(newer.at("condition") == "duration > 1s");
  CHECK(newer.at("from").as_string().starts_with("2023-11-14T22:13:20"));
  CHECK(newer.at("limit") == 7);
  CHECK(newer.at("cut") == "keep.search_time");
  CHECK_FALSE(newer.contains("to"));
  CHECK(older.at("job") == "a=5");
  CHECK(older.at("trace_ids") == 2);
  CHECK_FALSE(older.contains("limit"));
  CHECK(fleet.ask("GET", "/keep/b=6").text("cut") == "keep.search_time");
}
