// SPDX-License-Identifier: Apache-2.0
// What the language takes and refuses, its limits, and what a query says of itself.
#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "support/otlp_builder.h"
#include "support/query_fixture.h"
#include "traceql/query.h"
#include "unit/traceql/error_of.h"

using namespace tailgate;
using namespace tailgate::traceql;

namespace {

Query parsed(const std::string& text) {
  INFO(text);
  const Result<Query> query = parse_query(text);
  REQUIRE((query ? "" : query.error().text) == std::string());
  return *query;
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += text;
  return out;
}

// "a=x|b": the lists of terms, each as key=value.
std::string needs_of(const std::string& text) {
  const TraceNeeds needs = parsed(text).needs();
  std::string out;
  for (const auto& list : needs.all) {
    if (!out.empty()) out += ' ';
    bool first = true;
    for (const TraceTerm& term : list) {
      if (!first) out += '|';
      first = false;
      out += term.field == TraceTerm::Field::kSpanName ? "name"
             : term.field == TraceTerm::Field::kStatus ? "status"
             : term.field == TraceTerm::Field::kKind   ? "kind"
                                                       : term.key;
      if (term.value) out += '=' + *term.value;
    }
  }
  if (needs.span_duration_min_ns != 0) out += fmt::format(" span>={}", needs.span_duration_min_ns);
  if (needs.trace_duration_min_ns != 0) out += fmt::format(" trace>={}", needs.trace_duration_min_ns);
  if (needs.trace_duration_max_ns != UINT64_MAX) out += fmt::format(" trace<={}", needs.trace_duration_max_ns);
  return out;
}

// The numbers of the fixture's spans that an incomplete query leaves; "all" when it says nothing.
std::string left_by(const std::string& text) {
  const std::optional<Query> query = filter_of_incomplete(text);
  if (!query) return "all";
  std::string out;
  for (const std::string& otlp : test::fixture_traces()) {
    const Result<TraceView> trace = TraceView::read(otlp);
    Steps steps(100'000);
    for (const Spanset& set : query->evaluate(*trace, steps)) {
      for (const std::uint32_t i : set.spans) out += static_cast<char>('0' + trace->spans()[i].span_id[7]);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("queries of all forms are taken", "[traceql]") {
  for (const char* text : {"{ !true }",
                           "{ 1 != 2 && 1 < 1h }",
                           R"({ "test" !~ "test" })",
                           "{ .a }",
                           "{ !.a }",
                           "{ -.a = 2 }",
                           R"({ !("test" != .c || ((true && .b) || 3 < .a)) })",
                           "{ -1 = 2 }",
                           "{ 1 <= 1.1 }",
                           "{ .a ^ 1 = 2 }",
                           R"({ trace:id = "not hex" })",
                           "{ duration > 1s * 2s }",
                           "{ 1 / 1.1 = 1 }",
                           "{ .a = error }",
                           "{ .a % 2 = 0 }",
                           "{ 2 ^ 3 ^ 2 = 512 }",
                           "{ -2 ^ 2 = 4 }",
                           "{ .a = maxInt || .a = minInt }",
                           "({ true } | count() > 1 | { false }) >> ({ true } | count() > 1 | { false })",
                           "{ true } &<< { true }",
                           "avg(.field) > 1",
                           "{ true } | max((1 + .a) * 2) = 1",
                           "{} | count() > 2 * 2 - 1",
                           "max(duration) > 3s | { status = error || .http.status = 500 }",
                           "select(.a)",
                           "{} | select(.a,.b,name)",
                           "{ true } | by(1 + .a) | coalesce()",
                           "by(.a) | { true }",
                           "{ true } | by(name) | by(kind) | count() > 2",
                           "{}|by(name)|{status=error}&&{kind=server}",
                           "{ } >> { kind = server } | select(nestedSetLeft)",
                           "{ } with(most_recent=true)",
                           "{} | count() > 1 with (sample=0.1, x=\"y\", most_recent = false)",
                           "{ /* all } */ } // done",
                           "{span.a=\"b\"&&name=\"c\"}",
                           "{ span.a.\"b c\".d = 1 }",
                           "{ span.http/route*x-y = `a\"b` }",
                           "{ resource.a=1h30m || .b = 1.5d || .c < 3w || .d > 1y }",
                           "{ span.a = \"\\u00e9\\x41\\n\" }",
                           "{ event.a = link.b }",
                           "({ }) && (({ }))",
                           "{ duration=5ms }",
                           "{ .a > -1 && .b >=-1 && .c = - .d }",
                           "{ .5 < span.a }",
                           "{ 1 = span.a = true }"}) {
    INFO(text);
    CHECK(error_of(text) == "none");
  }
  CHECK(parsed("{ } with(most_recent=true)").most_recent());
  CHECK_FALSE(parsed("{ }").most_recent());
}

TEST_CASE("what is not TraceQL, or not supported, is refused", "[traceql]") {
  for (const char* text : {"",
                           "true",
                           "[ true ]",
                           "( true )",
                           "{ . }",
                           "{ < }",
                           "{ .a < }",
                           "{ (.a < 3 }",
                           "{ attribute = 4 }",
                           "{ true } + { true }",
                           "{ true } = { true }",
                           "{ true } <= { true }",
                           "max(name) = \"foo\"",
                           "avg(\"foo\") = \"bar\"",
                           "max(status) = ok",
                           "max(duration) < ok",
                           "avg(.field) + 1",
                           "sum(3) - 2",
                           "select(.a",
                           "select()",
                           "select(1 + .a)",
                           "coalesce() | { true }",
                           "count() > 3 && { true }",
                           "{ true } | notAnAggregate() = 1",
                           "{ true } | count = 1",
                           "{ true } | max() = 1",
                           "{ true } | by()",
                           "({ true }) && (count())",
                           "{ trace:status = error }",
                           "{ trace:name = \"a\" }",
                           "{ span:rootName = \"bar\" }",
                           "{ trace:rootServiceName = \"a\" }",
                           "{ status }",
                           "{ ok }",
                           "{ 1.1 }",
                           "{ \"foo\" }",
                           "{ nil }",
                           "{ 1 + \"foo\" = 1 }",
                           "{ 1 - true = 1 }",
                           "{ 1 ^ name = 1 }",
                           "{ 1 = \"foo\" }",
                           "{ 1 > ok }",
                           "{ 1 =~ 2}",
                           "{ 1 && \"foo\" }",
                           "{ true || 1.1 }",
                           "{ status > ok }",
                           "{ kind < consumer }",
                           "{ rootName != 3.2 }",
                           "{ -true }",
                           "{ -name = \"foo\" }",
                           "{ !\"foo\" = \"bar\" }",
                           "{ !1 = 1 }",
                           "sum(3) = 2",
                           "max(1h + 2h) > 1",
                           "{ true } | by(1)",
                           "{ nestedSetLeft = \"foo\" }",
                           "{ true } | max(true) = 1",
                           "{ .a + 1 }",
                           "{ nil = nil }",
                           "{ .a > nil }",
                           "{ parent }",
                           "{ parent.span.a > 3 }",
                           "{ childCount = 1 }",
                           "min(.field) < max(duration)",
                           "min(.field) + max(.field) > 1",
                           "({ true } | count()) = 1",
                           "3 = 2",
                           "{ .a = 1 } |",
                           "{ .a = 1 } }",
                           "{ } with(most_recent=1)",
                           "{ } with(",
                           "{ .a = 1 /* }",
                           "{ .a = \"x }",
                           "{ .a = 99999999999999999999 }",
                           "{ .a = 5q }",
                           "{ .a = 1.2.3 }",
                           "{ .a = \"\\q\" }",
                           "{ .a =~ .b }",
                           "{ name =~ name }",

                           "({ } | by(name)) && { }",
                           "({ } | by(name)) > { }",
                           "{ } | by(name) | { } > { }",
                           "{ .a = # }"}) {
    INFO(text);
    CHECK(error_of(text).starts_with("line "));
  }
}

TEST_CASE("errors count lines and characters, and name what is not supported", "[traceql]") {
  CHECK(error_of("{ name = \"\xc3\xa9\" &&\n  status = 1 }").starts_with("line 2, column 12: "));
  CHECK(error_of("{ .\xc3\xa9 = ok && name = 1 }").starts_with("line 1, column 21: "));
  CHECK(error_of("{} | rate() by (name)") ==
        "line 1, column 6: the metrics function rate() is not supported; a search finds traces");
  CHECK(error_of("{ trace:rootServiceName = \"a\" }") ==
        "line 1, column 3: expected an intrinsic such as span:name, trace:rootService, event:name, link:spanID, "
        "instrumentation:name, got 'trace:rootServiceName'");
  CHECK(error_of("{ duration > 5q }") ==
        "line 1, column 14: expected a number such as 500 or 1.5, or a duration such as 300ms or 1h30m");
  CHECK(error_of("{ duration > 1h5 }") == "line 1, column 17: expected a unit: ns, us, ms, s, m, h, d, w or y");
  CHECK(error_of("{ } | by(name) | { } > { }") ==
        "line 1, column 18: expected coalesce() between by() and an operator on the tree of spans");
  for (const std::string inner : {"{ } > { } && { }", "{ } || { } << { }", "({ } | { } ~ { } | { })"}) {
    CHECK(error_of("{ } | by(name) | " + inner).find("expected coalesce()") != std::string::npos);
  }
}

TEST_CASE("a query has limits, and none of them is the stack", "[traceql]") {
  CHECK(error_of('{' + std::string(128 * 1024, ' ') + '}') == "expected a query of at most 131072 bytes, got 131074");
  for (const std::string& deep :
       {repeated("(", 60'000), "{" + repeated("(", 60'000), "{" + repeated("!", 60'000), "{" + repeated("- ", 60'000),
        "{ 1" + repeated("^.a", 20'000), "{ .a " + repeated("+ .a ", 20'000) + "= 1}", "{}" + repeated(">{}", 20'000),
        "{.a" + repeated("&&.a ||.a ", 9'000) + "}", repeated("({}|", 20'000)}) {
    CHECK(error_of(deep).find("expected at most 128 levels inside each other") != std::string::npos);
  }
  std::string patterns = "{ .a =~ \"0\"";
  for (int i = 1; i < 64; ++i) patterns += fmt::format(" || .a =~ \"{}\"", i % 64);
  CHECK(error_of(patterns + " || .a =~ \"5\" }") == "none");
  CHECK(error_of(patterns + " || .a =~ \"x\" }").find("expected at most 64 different regular expressions") !=
        std::string::npos);
  CHECK(error_of("{ .a =~ \"((a{100}){100}){100}\" }").find("RE2") != std::string::npos);
  CHECK(error_of("{ .a =~ \"(.{0,30}x){30}.{0,30}(.{0,30}y){10}\" }").find("smaller regular expression") !=
        std::string::npos);
  CHECK(error_of("{ }" + repeated("| count() > 1", 16)) == "none");
  CHECK(error_of("{ }" + repeated("| by(name)", 17)).find("expected at most 16 by() and aggregates") !=
        std::string::npos);
  // Rows are no levels.
  CHECK(error_of("{ .a = 1" + repeated(" || .a = 1", 9'000) + " }") == "none");
  CHECK(error_of("{}" + repeated("&&{}", 20'000)) == "none");
}

TEST_CASE("operators over 100,000 spans stay within their steps, and what is cut is said", "[traceql]") {
  std::vector<test::SpanSpec> specs;
  for (std::uint64_t i = 1; i <= 100'000; ++i) specs.push_back({.id = i, .parent = i / 3, .start_ms = i});
  const std::string otlp = test::request(specs);
  const Result<TraceView> trace = TraceView::read(otlp);
  REQUIRE(trace);
  const Query query = parsed("{ .a = nil } >> { name = \"op\" } &~ { } !<< { kind = server } << { }");
  Steps steps(3'000'000);
  const auto sets = query.evaluate(*trace, steps);
  CHECK_FALSE(steps.spent());
  REQUIRE(sets.size() == 1);
  Steps late(3'000'000, [] { return true; });
  CHECK(query.evaluate(*trace, late).empty());
  CHECK(late.stopped());
  Steps few(100'000);
  CHECK(query.evaluate(*trace, few).empty());
  CHECK(few.spent());
  Steps none(1'000'000);
  CHECK(parsed("{ } | by(span:id) | by(name) | { true" + repeated(" && name = \"op\"", 50) + " }")
            .evaluate(*trace, none)
            .empty());
  CHECK(none.spent());
  Steps slow(1'000'000);  // RE2 takes a microsecond for each byte of this, since its states do not fit
  CHECK(parsed("{ name =~ \"(o|p|x)*p(o|p|x){200}\" }").evaluate(*trace, slow).empty());
  CHECK(slow.spent());
}

TEST_CASE("!(...) is what the inner condition is not, also without the attribute", "[traceql]") {
  CHECK(left_by("{ !(span.http.status_code = 500) }") == "14567");
  CHECK(left_by("{ !span.hit }") == "123467");
  CHECK(left_by("{ !(event:name = \"exception\") }") == "124567");
}

TEST_CASE("numbers compare by value, and arrays by their elements", "[traceql]") {
  CHECK(left_by("{ span.http.status_code = 500.0 }") == "23");
  CHECK(left_by("{ span.http.status_code = 500ns }") == "23");
  CHECK(left_by("{ span.http.status_code = 5e2 }") == "23");
  CHECK(left_by("{ span.ratio > 1 }") == "4");
  CHECK(left_by("{ span.http.status_code / 3 > 166.6 && span.http.status_code / 3 < 166.7 }") == "23");
  CHECK(left_by("{ span.http.status_code / 0 = nil || span.tags != \"a\" }") == "all");
  CHECK(left_by("{ span.tags != \"a\" }").empty());
  CHECK(left_by("{ span.tags != \"c\" }") == "4");
  CHECK(left_by("{ span.tags !~ \"a|c\" }").empty());
  CHECK(left_by("{ span.tags !~ \"c\" }") == "4");
  CHECK(left_by("{ span.tags != 5 }").empty());
}

TEST_CASE("conditions on events joined by && speak of one event", "[traceql]") {
  twin::TracesData data = test::traces({{.id = 1}, {.id = 2, .parent = 1, .start_ms = 1}});
  auto& span = *data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0);
  for (const char* name : {"a", "b"}) {
    auto& event = *span.add_events();
    event.set_name(name);
    test::set_attributes(*event.mutable_attributes(), {{"is", name}});
  }
  auto& link = *span.add_links();
  test::set_attributes(*link.mutable_attributes(), {{"is", "b"}});
  const std::string otlp = data.SerializeAsString();
  const Result<TraceView> trace = TraceView::read(otlp);
  const auto finds = [&](const std::string& text) {
    Steps steps(10'000);
    const auto sets = parsed(text).evaluate(*trace, steps);
    return sets.empty() ? 0 : sets[0].spans.size();
  };
  CHECK(finds("{ event:name = \"a\" && event.is = \"a\" }") == 1);
  CHECK(finds("{ event:name = \"a\" && event.is = \"b\" }") == 0);
  CHECK(finds("{ event:name = \"a\" } && { event.is = \"b\" }") == 1);
  CHECK(finds("{ event:name != \"a\" }") == 1);
  CHECK(finds("{ event.none = nil }") == 1);
  CHECK(finds("{ event:name = \"b\" && link.is = event.is }") == 1);
  CHECK(finds("{ event:name = \"a\" && link.is = event.is }") == 0);
  CHECK(finds("{ (name = \"op\" || event:name = \"x\") && kind = server }") == 2);
  CHECK(finds("{ !(event:name = \"a\") && name = \"op\" }") == 1);
}

TEST_CASE("steps end when there is no time left, however many there are", "[traceql]") {
  int asked = 0;
  Steps steps(1'000'000'000, [&] { return ++asked == 3; });
  std::uint64_t spent = 0;
  while (steps.spend(1000)) spent += 1000;
  CHECK(asked == 3);
  CHECK(spent / Steps::kLookEvery == 3);
  CHECK(steps.stopped());
  CHECK(steps.spent());
  CHECK_FALSE(steps.spend());
  Steps few(1000, [] { return true; });
  CHECK(few.spend(10));
  CHECK_FALSE(few.spend(1000));
  CHECK_FALSE(few.stopped());
}

TEST_CASE("ids are found in any case and without leading zeros", "[traceql]") {
  const std::string otlp = test::request({{.id = 0xabc}, {.id = 2, .parent = 0xabc, .start_ms = 1}});
  const Result<TraceView> trace = TraceView::read(otlp);
  const auto finds = [&](const std::string& text) {
    Steps steps(10'000);
    const auto sets = parsed(text).evaluate(*trace, steps);
    return sets.empty() ? 0 : sets[0].spans.size();
  };
  CHECK(finds("{ span:id = \"ABC\" }") == 1);
  CHECK(finds("{ \"0abc\" = span:parentID }") == 1);
  CHECK(finds("{ span:parentID = \"\" }") == 1);
  CHECK(finds("{ span:id =~ \"0{13}abc\" }") == 1);
  CHECK(finds("{ trace:id = \"01000000000000000000000000000001\" && span:childCount = 1 }") == 1);
}

TEST_CASE("a query says what its answer shows of spans", "[traceql]") {
  const auto traces = test::fixture_traces();
  const Result<TraceView> trace = TraceView::read(traces[0]);
  const auto shown = [&](const std::string& text, std::uint32_t span) {
    std::string out;
    Steps steps(10'000);
    for (const NamedValue& v : parsed(text).span_attributes(*trace, span, steps)) {
      out += v.key + '=' +
             (v.kind == AttributeValue::Kind::kString ? v.text : std::to_string(static_cast<std::int64_t>(v.bits))) +
             ' ';
    }
    return out;
  };
  CHECK(shown("{ resource.service.name = \"x\" || span.http.status_code = 1 && status = error && kind = server "
              "&& duration > 1s && name = \"x\" }",
              1) == "service.name=frontend http.status_code=500 status=error kind=client ");
  CHECK(shown("{ } | select(event.exception.message, nestedSetParent, nestedSetLeft, statusMessage, span.nope)", 2) ==
        "exception.message=card declined nestedSetParent=2 nestedSetLeft=3 statusMessage= ");
  CHECK(shown("{ span.a = 1 && .service.name = \"x\" } | by(resource.service.name) | max(span.ratio) > 1", 0) ==
        "service.name=frontend ");
  CHECK(parsed("{ span:name = \"x\" }").uses_name());
  CHECK_FALSE(parsed("{ span.name = \"x\" }").uses_name());
}

TEST_CASE("durations in answers are written as Go writes them", "[traceql]") {
  CHECK(format_go_duration(0) == "0s");
  CHECK(format_go_duration(999) == "999ns");
  CHECK(format_go_duration(1'500) == "1.5\xc2\xb5s");
  CHECK(format_go_duration(560'400'000) == "560.4ms");
  CHECK(format_go_duration(5'000'000'000) == "5s");
  CHECK(format_go_duration(3'661'000'000'001) == "1h1m1.000000001s");
  CHECK(format_go_duration(-60'000'000'000) == "-1m0s");
  CHECK(format_go_duration(INT64_MIN) == "-2562047h47m16.854775808s");
}

TEST_CASE("needs are what follows for a trace, and no more", "[traceql]") {
  CHECK(needs_of("{ resource.service.name = \"checkout\" && duration > 1s && span.http.status_code = 500 }") ==
        "service.name=checkout http.status_code=500 span>=1000000001");
  CHECK(needs_of("{ .a = 500.0 || .b = 500ns }") == "a=500|b=500");
  CHECK(needs_of("{ .a = 1e3 && 0.5 = .b && .c = 100 * 4 }") == "a=1000 b=0.5 c=400");
  CHECK(needs_of("{ .a = 0 && .b = 9007199254740993 && .c = true && .d }") == "a b c=true d=true");
  CHECK(needs_of("{ .a != 1 && .b < 2 && .c !~ \"x\" && .d != nil && .e > .f }") == "a b c d e f");
  CHECK(needs_of("{ .a = nil || .b = 1 }").empty());
  CHECK(needs_of("{ !(.a = 1) }").empty());
  CHECK(needs_of("{ name = \"x\" && status = error && kind = server && rootServiceName = \"web\" }") ==
        "name=x status=error kind=server service.name=web");
  CHECK(needs_of("{ name != \"x\" && status != error && status = unset && kind = unspecified && rootName = \"\" }")
            .empty());
  CHECK(needs_of("{ span.x =~ \"a|b\\\\.c\" && name =~ \"x|y\" && .z =~ \"a.*\" }") == "x=a|x=b.c name=x|name=y z");
  CHECK(needs_of("{ traceDuration >= 1s && trace:duration < 2s }") == " trace>=1000000000 trace<=1999999999");
  CHECK(needs_of("{ duration > 1s || duration > 2s }") == " span>=1000000001");
  CHECK(needs_of("{ .a = 1 } >> { .b = 2 }") == "a=1 b=2");
  CHECK(needs_of("{ .a = 1 } !>> { .b = 2 }") == "b=2");
  CHECK(needs_of("{ .a = 1 } || { .b = 2 } && { .c = 3 }") == "a=1|b=2 c=3");
  CHECK(needs_of("{ } | avg(duration) >= 1s | sum(duration) > 9s | max(.x) > 1 | { .y = 1 }") ==
        "x y=1 span>=1000000000");
  CHECK(needs_of("{ duration < 1s && .a + .b > 1 }") == "a b");
  CHECK(needs_of("{ true } | count() > 100").empty());
  const TraceId id = *TraceId::from_short_hex("abc");
  CHECK(parsed("{ trace:id = \"0ABC\" && .a = 1 }").needs().id == id);
  CHECK(parsed("{ .a = 1 } && { \"abc\" = trace:id }").needs().id == id);
  for (const char* const any : {"{ trace:id = \"abc\" || .a = 1 }", "{ trace:id != \"abc\" }",
                                "{ trace:id = \"no id\" }", "{ !(trace:id = \"abc\") }"}) {
    CHECK_FALSE(parsed(any).needs().id);
  }
}

TEST_CASE("an incomplete query filters by what is complete, and is never an error", "[traceql]") {
  CHECK(left_by("{}") == "1234567");
  CHECK(left_by("{ resource.service.name = \"payment\" && span.db.system= }") == "345");
  CHECK(left_by("{resource.service.name=\"payment\" && span.db.system=\"red") == "345");
  CHECK(left_by("{ resource.service.name = \"payment\" && name }") == "345");
  CHECK(left_by("{ resource.service.name = \"payment\" && }") == "345");
  CHECK(left_by("{ resource.service.name = \"payment\" && (span.a=1 || kind !=") == "345");
  CHECK(left_by("{ resource.service.name = ") == "1234567");
  CHECK(left_by("{ resource.service.name =~ && status = error }") == "23");
  CHECK(left_by("{ status = error && . }") == "23");
  for (const char* text :
       {"", "{", "abc", "{ } | count() > 1", "{ } && { }", "{ status = \"error\" }", "}{", "))", "&&"})
    CHECK((left_by(text) == "all" || left_by(text) == "1234567"));
}
