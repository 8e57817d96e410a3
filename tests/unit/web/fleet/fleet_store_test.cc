// SPDX-License-Identifier: Apache-2.0
// Three members with a store each; what a question to one of them finds is what it finds in a store that has it all.
#include "web/fleet/fleet_store.h"

#include <catch2/catch.hpp>
#include <map>

#include "support/otlp_builder.h"
#include "support/random_otlp.h"
#include "support/stored_fixture.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

constexpr std::uint64_t kFirst = 1'700'000'000'000'000'000, kMs = 1'000'000;  // as otlp_builder.h

struct Stores {
  std::array<StoredFixture, 3> own{StoredFixture{true}, StoredFixture{true}, StoredFixture{true}};
  StoredFixture all{true};  // of one store with all of it
  std::array<std::shared_ptr<StoreReader>, 3> readers{own[0].reader(), own[1].reader(), own[2].reader()};
  SearchLimits limits;
  std::string silent;              // a member that does not answer
  std::optional<PageAnswer> says;  // instead of what b has
  int asked = 0;

  OtherMembers others() {
    OtherMembers out;
    out.self = "a";
    out.count = [] { return std::size_t{2}; };
    out.ask = [this](const auto& question, const auto& done) {
      MemberAnswers answers;
      for (std::size_t i = 1; i != 3; ++i) {
        const std::string name(1, static_cast<char>('a' + i));
        const std::optional<PageQuestion> one = question(name);
        REQUIRE(one);
        ++asked;
        if (name == silent) {
          answers.push_back({name, std::nullopt, "no answer in time"});
        } else if (i == 1 && says) {
          answers.push_back({name, *says, ""});
        } else {
          answers.push_back({name, answer_store_question(*readers[i], limits, one->body, [] { return false; }), ""});
        }
      }
      done(answers);
    };
    return out;
  }
  std::shared_ptr<FleetStore> fleet =
      std::make_shared<FleetStore>(readers[0], others(), [this](Duration) { return others(); });

  void add(std::size_t member, const std::string& otlp) {
    own[member].add(otlp);
    all.add(otlp);
  }

  struct Found {
    std::vector<std::string> ids;  // in their order, each with the number of its spans
    std::string cut;
  };
  static Found find(StoreReader& store, const TraceQuestion& question, const SearchLimits& limits) {
    Found out;
    const auto outcome = find_traces(
        store, question, limits, [] { return false; },
        [&](const FoundTrace& one) {
          out.ids.push_back(one.stored.id.hex() + '/' + std::to_string(one.view.spans().size()));
        });
    REQUIRE(outcome);
    out.cut = outcome->cut;
    return out;
  }
  Found find(const TraceQuestion& question) {
    SearchLimits with = limits;
    with.elsewhere = [this](const TraceQuestion& q, Duration time) { return fleet->elsewhere(q, time); };
    return find(*fleet, question, with);
  }
  Found find_in_one(const TraceQuestion& question) { return find(*all.reader(), question, limits); }
};

std::string some_trace(std::uint64_t number, Random& random) {
  static const std::array<const char*, 3> kServices = {"shop", "pay", "stock"};
  std::vector<SpanSpec> spans(1 + random.below(4));
  for (SpanSpec& s : spans) {
    s.trace = number;
    s.id = 1 + random.below(1'000'000);
    s.start_ms = random.below(50);
    s.end_ms = s.start_ms + random.below(30);
    s.name = random.below(2) != 0 ? "GET /" : "POST /";
    s.status = static_cast<int>(random.below(3));
    s.attributes = {{"n", std::to_string(random.below(4))}};
  }
  return request(spans, kServices[random.below(kServices.size())]);
}

TraceQuestion some_question(Random& random) {
  TraceQuestion out;
  out.limit = 1 + random.below(random.below(2) != 0 ? 5 : 100);
  if (random.below(3) == 0) out.from_ns = kFirst + random.below(60) * kMs;
  if (random.below(3) == 0) out.to_ns = kFirst + random.below(60) * kMs;
  if (random.below(3) == 0) out.span.service = random.below(2) != 0 ? "shop" : "pay";
  if (random.below(4) == 0) out.span.status = "error";
  if (random.below(4) == 0) out.span.duration_min_ns = random.below(30) * kMs;
  if (random.below(4) == 0) out.span.attributes = {{"n", std::to_string(random.below(4))}};
  if (random.below(3) == 0) out.query = traceql::parse_query(R"({ span.n = "1" && duration > 5ms })").value();
  return out;
}

}  // namespace

TEST_CASE("a search of all members finds what a search of one store with everything finds", "[web]") {
  Random random(7);
  Stores fleet;
  for (std::uint64_t n = 1; n != 120; ++n) fleet.add(random.below(3), some_trace(n, random));
  std::size_t found = 0, limited = 0;
  for (int i = 0; i != 400; ++i) {
    CAPTURE(i);
    const TraceQuestion question = some_question(random);
    const Stores::Found here = fleet.find(question);
    CHECK(here.ids == fleet.find_in_one(question).ids);
    CHECK(here.cut.empty());
    found += here.ids.size();
    limited += here.ids.size() == question.limit ? 1 : 0;
  }
  CHECK(found > 400);
  CHECK(limited > 40);
}

TEST_CASE("parts of a trace with several members are one trace", "[web]") {
  Random random(8);
  Stores fleet;
  const std::string first = some_trace(1, random), second = some_trace(1, random), other = some_trace(2, random);
  fleet.add(1, first);
  fleet.add(2, second);
  fleet.add(1, other);
  fleet.own[0].add(other);  // the same bytes twice are one part
  const auto spans = [](StoreReader& store, std::uint64_t trace) {
    const StoredTrace found = store.trace(TraceId::from(trace_id(trace).data())).value();
    CHECK(found.spans == TraceView::read(found.otlp)->spans().size());
    return found.spans;
  };
  const auto all = fleet.all.reader();
  CHECK(spans(*fleet.fleet, 1) == spans(*all, 1));
  CHECK(spans(*fleet.fleet, 2) == spans(*all, 2));
  CHECK(fleet.find({}).ids == fleet.find_in_one({}).ids);
  CHECK(fleet.fleet->trace(id_of_trace(3))->otlp.empty());
  TraceQuestion by_id;
  by_id.query = traceql::parse_query("{ trace:id = \"" + id_of_trace(1).hex() + "\" }").value();
  CHECK(fleet.find(by_id).ids == fleet.find_in_one(by_id).ids);
}

TEST_CASE("a span that several parts have is there once", "[web]") {
  Stores fleet;
  const auto part = [](std::initializer_list<std::uint64_t> ids) {
    std::vector<SpanSpec> spans;
    for (const std::uint64_t id : ids) spans.push_back({.trace = 1, .id = id, .status = 2});
    return request(spans, "shop");
  };
  fleet.add(0, part({1, 2}));
  fleet.add(0, part({2, 3}));
  fleet.add(1, part({3, 4, 5}));
  const auto all = fleet.all.reader();
  for (StoreReader* const store : {all.get(), static_cast<StoreReader*>(fleet.fleet.get())}) {
    const StoredTrace found = store->trace(id_of_trace(1)).value();
    CHECK(TraceView::read(found.otlp)->spans().size() == 5);
    CHECK(found.spans == 5);
    CHECK(found.errors == 5);
  }
}

TEST_CASE("names and sums are those of all members", "[web]") {
  Random random(9);
  Stores fleet;
  for (std::uint64_t n = 1; n != 40; ++n) fleet.add(n % 3, some_trace(n, random));
  const auto all = fleet.all.reader();
  CHECK(fleet.fleet->services(0, UINT64_MAX).value() == all->services(0, UINT64_MAX).value());
  CHECK(fleet.fleet->services(0, UINT64_MAX)->size() == 3);
  for (const std::optional<std::uint32_t> kind : {std::optional<std::uint32_t>(), std::optional<std::uint32_t>(2)})
    CHECK(fleet.fleet->operations("shop", kind).value() == all->operations("shop", kind).value());
  CHECK(fleet.fleet->operations("shop", 3)->empty());
  for (const auto scope : {std::optional<AttributeScope>(), std::optional(AttributeScope::kSpan)}) {
    CHECK(fleet.fleet->attribute_names(scope, "", 100).value() == all->attribute_names(scope, "", 100).value());
    CHECK(fleet.fleet->attribute_values(scope, "n", "", 3).value() == all->attribute_values(scope, "n", "", 3).value());
  }
  const auto sums = [](StoreReader& store) {
    std::map<std::string, std::uint64_t> out;
    const std::vector<StoredDependency> found = store.dependencies(0, UINT64_MAX).value();
    for (const StoredDependency& one : found) out[one.parent + '>' + one.child] = one.calls;
    return out;
  };
  CHECK(sums(*fleet.fleet) == sums(*all));
  CHECK(fleet.fleet->status()->traces == 13);  // of the own store
}

TEST_CASE("who does not answer is named", "[web]") {
  Random random(10);
  Stores fleet;
  fleet.add(0, some_trace(1, random));
  fleet.add(2, some_trace(2, random));
  fleet.silent = "c";
  const Stores::Found found = fleet.find({});
  CHECK(found.ids.size() == 1);
  CHECK(found.cut == "Not all members answered, their traces are missing: c (no answer in time).");
  CHECK(fleet.fleet->trace(id_of_trace(1)));
  const auto missing = fleet.fleet->trace(id_of_trace(2));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::kUnavailable);
  CHECK(missing.error().text == "this trace is not stored here, and not all members answered: c (no answer in time)");
  CHECK(fleet.fleet->services(0, UINT64_MAX)->size() == 1);
  fleet.says = PageAnswer{503, "too many queries wait"};
  CHECK(fleet.find({}).cut.find("b (status 503: too many queries wait), c (no") != std::string::npos);
  for (const char* body :
       {"", "{", "[]", "{}", R"({"looked_at":-1})", R"({"looked_at":1,"bytes":1,"damaged":0,"cut":3})",
        R"({"looked_at":1,"bytes":1,"damaged":0,"cut":"","traces":[{}]})",
        R"({"looked_at":1,"bytes":1,"damaged":0,"cut":"","traces":{}})",
        R"({"looked_at":1,"bytes":1,"damaged":0,"cut":"","operations":[[1,"a"]]})"}) {
    CAPTURE(body);
    fleet.says = PageAnswer{200, body};
    CHECK(fleet.find({}).cut.find("b (") != std::string::npos);
  }
}

TEST_CASE("a member's bytes that are not the trace hide no good ones", "[web]") {
  Random random(12);
  Stores fleet;
  const std::string good = some_trace(1, random);
  fleet.add(0, good);
  fleet.add(2, good);
  for (const std::string& bytes : {std::string("garbage"), some_trace(2, random)}) {
    StoreAnswer bad;
    bad.traces.emplace_back();
    bad.traces[0].id = id_of_trace(1);
    bad.traces[0].otlp = bytes;
    fleet.says = PageAnswer{200, write_store_answer(bad)};
    CHECK(fleet.find({}).ids == fleet.find_in_one({}).ids);
    CHECK(fleet.find({}).cut.find("b (the bytes of trace " + id_of_trace(1).hex() + " are not") != std::string::npos);
    CHECK(fleet.fleet->trace(id_of_trace(1))->otlp == good);
  }
}

TEST_CASE("others that are not heard at all are not those that have nothing", "[web]") {
  Stores fleet;
  OtherMembers deaf = fleet.others();
  deaf.timeout = deaf.slack = Duration::zero();
  std::function<void(MemberAnswers)> late;
  deaf.ask = [&](const auto&, const auto& done) { late = done; };
  FleetStore store(fleet.readers[0], deaf, [&](Duration) { return deaf; });
  const auto found = store.trace(id_of_trace(1));
  REQUIRE_FALSE(found);
  CHECK(found.error().text ==
        "this trace is not stored here, and not all members answered: the others (no answer in time)");
  CHECK(store.elsewhere({}, Duration::zero()).outcome.cut.find("the others (no answer") != std::string::npos);
  late({});  // whoever waited has gone
}

TEST_CASE("an answer has a bound, and says that it is not all", "[web]") {
  Stores fleet;
  for (std::uint64_t n = 1; n != 12; ++n) {
    SpanSpec span;
    span.trace = n;
    span.start_ms = n;
    span.attributes = {{"text", std::string(1 << 20, 'x')}};
    fleet.own[1].add(request({span}));
  }
  TraceQuestion all;
  all.limit = 100;
  const Stores::Found found = fleet.find(all);
  CHECK(found.ids.size() == 7);
  CHECK(found.ids.front().starts_with(id_of_trace(11).hex()));
  CHECK(found.cut == "The traces found are more than 8MiB, the newest are here.");
  SpanSpec large;
  large.trace = 99;
  large.start_ms = 100;
  large.attributes = {{"text", std::string(9 << 20, 'x')}};
  fleet.own[1].add(request({large}));
  const Stores::Found others = fleet.find(all);
  CHECK(others.ids == found.ids);
  CHECK(others.cut == found.cut + " Left out are 1 traces of another member that are larger than 8MiB each.");
  const auto one = fleet.fleet->trace(id_of_trace(99));
  REQUIRE_FALSE(one);
  CHECK(one.error().text.find("b (status 503: the trace is larger than the 8 MiB") != std::string::npos);
}

TEST_CASE("a stored trace comes before what a journal has of it", "[web]") {
  Random random(11);
  Stores fleet;
  const std::string came = some_trace(1, random);
  const TraceId id = id_of_trace(1);
  const auto of_the_past = [&](const TraceId&) -> Result<StoredTrace> {
    StoredTrace out;
    out.id = id;
    out.kept = false;
    out.otlp = came;
    out.spans = 100;
    return out;
  };
  fleet.readers[1]->also_ask(of_the_past);
  CHECK(fleet.fleet->trace(id)->spans == 100);
  CHECK_FALSE(fleet.fleet->trace(id)->kept);
  fleet.own[2].add(came);
  CHECK(fleet.fleet->trace(id)->spans < 100);
  CHECK(fleet.fleet->trace(id)->kept);
}

TEST_CASE("a question that cannot be read names what is wrong", "[web]") {
  Stores fleet;
  const auto wrong_with = [&](std::string_view question) {
    const PageAnswer answer = answer_store_question(*fleet.readers[1], {}, question, [] { return false; });
    CHECK(answer.status == 400);
    return answer.body;
  };
  CHECK(wrong_with("{").starts_with("expected a question about stored traces as JSON: "));
  CHECK(wrong_with("[]") == "expected a question about stored traces as a JSON object");
  CHECK(wrong_with("{}") == "ask: expected this key");
  CHECK(wrong_with(R"({"ask":"all"})") ==
        "ask: expected one of trace, search, services, operations, names, values, dependencies");
  CHECK(wrong_with(R"({"ask":"trace","id":"12"})") == "id: expected 32 hex digits");
  CHECK(wrong_with(R"({"ask":"services","from":"x","to":1})") == "from: expected a whole number that is not negative");
  CHECK(wrong_with(R"({"ask":"services","from":-1,"to":1})") == "from: expected a whole number that is not negative");
  CHECK(wrong_with(R"({"ask":"names","prefix":"","limit":1,"scope":5})") == "scope: expected a number below 5");
  StoreQuestion search{.ask = StoreQuestion::Ask::kSearch};
  std::string text = write_store_question(search);
  CHECK(answer_store_question(*fleet.readers[1], {}, text, [] { return false; }).status == 200);
  text.insert(1, R"("query":"{ nonsense",)");
  CHECK(wrong_with(text).starts_with("query: expected TraceQL: line 1"));
}
