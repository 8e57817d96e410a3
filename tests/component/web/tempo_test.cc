// SPDX-License-Identifier: Apache-2.0
// Tempo's API over a store with the three traces of query_fixture.h. The same over sockets and beside a real Tempo:
// tests/e2e/tempo_api.py.
#include <simdjson.h>

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <thread>

#include "codec/percent.h"
#include "support/stored_fixture.h"
#include "support/tempo_twin.h"
#include "web/query_pool.h"
#include "web/tempo/door.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

struct Tempo {
  explicit Tempo(SearchLimits limits = {}, bool empty = false) : stored(empty) {
    add_tempo_door(pages, pool, {.store = stored.reader(), .limits = limits});
  }
  WholeAnswer get(const std::string& target, const std::string& accept = "") {
    return ask(pages, "/tempo" + target, accept);
  }
  std::string body(const std::string& target) {
    const WholeAnswer answer = get(target);
    INFO(target << " says " << answer.body);
    CHECK(answer.status == 200);
    CHECK(answer.content_type == "application/json");
    return answer.body;
  }
  // The status and the sentence.
  std::string error(const std::string& target) {
    const WholeAnswer answer = get(target);
    return std::to_string(answer.status) + " " + answer.body.substr(0, answer.body.find('\n'));
  }
  // Ids of the traces found, by their last digit, in their order.
  std::string found(const std::string& parameters) {
    simdjson::dom::parser parser;
    std::string out;
    for (const auto trace : parser.parse(body("/api/search?" + parameters))["traces"].get_array()) {
      out += std::string_view(trace["traceID"].get_string()).back();
    }
    return out;
  }

  StoredFixture stored;
  QueryPool pool{{.threads = 1}};
  Pages pages;  // after the pool, which they use
};

std::string q(std::string_view query) { return "q=" + percent_encoded(query, PercentKeep::kUnreserved); }

// Every key of an object, at any depth; attributes have the keys of their own below "key".
void keys_of(const simdjson::dom::element& element, std::set<std::string>& out) {
  if (element.is_array()) {
    for (const auto one : element.get_array()) keys_of(one, out);
  }
  if (!element.is_object()) return;
  for (const auto [key, value] : element.get_object()) {
    out.emplace(key);
    if (key != "serviceStats") keys_of(value, out);
  }
}

}  // namespace

TEST_CASE("a search answers what Grafana decodes, key by key", "[web]") {
  Tempo tempo;
  CHECK(
      tempo.body("/api/search?limit=1&spss=1&" + q("{ name = \"POST /pay\" && status = error && span.tags = nil }")) ==
      R"({"traces":[{"traceID":"a0000000000000000000000000000001","rootServiceName":"frontend",)"
      R"("rootTraceName":"GET /checkout","startTimeUnixNano":"1700000000000000000","durationMs":1200,)"
      R"("spanSets":[{"spans":[{"spanID":"b100000000000002","name":"POST /pay",)"
      R"("startTimeUnixNano":"1700000000100000000","durationNanos":"800000000",)"
      R"("attributes":[{"key":"status","value":{"stringValue":"error"}}]}],"matched":2}],)"
      R"("serviceStats":{"frontend":{"spanCount":2,"errorCount":1},"payment":{"spanCount":3,"errorCount":1}}}],)"
      R"("metrics":{"inspectedTraces":1,"inspectedBytes":"882","completedJobs":1,"totalJobs":1}})");
  const std::string grouped = tempo.body("/api/search?spss=0&" + q("{ } | by(resource.service.name) | count() > 2"));
  CHECK(grouped.find(R"x("matched":3,"attributes":[{"key":"by(resource.service.name)",)x"
                     R"x("value":{"stringValue":"payment"}},{"key":"count()","value":{"intValue":"3"}}]}])x") !=
        std::string::npos);
  const std::string values = tempo.body("/api/search?" + q("{ span.ratio > 1 || span.hit } | select(span.tags)"));
  CHECK(values.find(R"({"key":"ratio","value":{"doubleValue":1.5}})") != std::string::npos);
  CHECK(values.find(R"({"key":"hit","value":{"boolValue":true}})") != std::string::npos);
  CHECK(values.find(R"({"key":"tags","value":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":"b"}]}}})") !=
        std::string::npos);
  const std::string orphan = tempo.body("/api/search?" + q("{ resource.service.name = \"worker\" }"));
  CHECK(orphan.find(R"("rootServiceName":"<root span not yet received>","startTimeUnixNano")") != std::string::npos);
  CHECK(tempo.body("/api/search?" + q("{ false }")).starts_with(R"({"traces":[],"metrics":{)"));
}

TEST_CASE("no key of a search is another than Tempo's", "[web]") {
  const std::set<std::string> known = {"traces",
                                       "traceID",
                                       "rootServiceName",
                                       "rootTraceName",
                                       "startTimeUnixNano",
                                       "durationMs",
                                       "spanSets",
                                       "spans",
                                       "spanID",
                                       "name",
                                       "durationNanos",
                                       "attributes",
                                       "key",
                                       "value",
                                       "stringValue",
                                       "intValue",
                                       "doubleValue",
                                       "boolValue",
                                       "arrayValue",
                                       "values",
                                       "matched",
                                       "serviceStats",
                                       "metrics",
                                       "inspectedTraces",
                                       "inspectedBytes",
                                       "completedJobs",
                                       "totalJobs"};
  Tempo tempo;
  for (const std::string& parameters :
       {std::string(), std::string("tags=name%3Djob"), q("{}"),
        q("{ } | select(span.ratio, span.tags, span.hit, name, kind)"), q("{ } | by(status) | avg(duration) > 1ms"),
        q("{ span.http.status_code = 500 } >> { true }")}) {
    simdjson::dom::parser parser;
    const std::string body = tempo.body("/api/search?spss=100&" + parameters);
    std::set<std::string> keys;
    keys_of(parser.parse(body), keys);
    INFO(body);
    for (const std::string& key : keys) CHECK(known.contains(key));
    CHECK_FALSE(keys.contains("spanSet"));
  }
}

TEST_CASE("an id has no leading zeros, and what is zero is left out", "[web]") {
  Tempo tempo({}, true);
  twin::TracesData data;
  auto& span = *data.add_resource_spans()->add_scope_spans()->add_spans();
  span.set_trace_id(bytes_of_hex("0000000000000000000000000000abcd"));
  span.set_span_id(bytes_of_hex("0000000000000001"));
  span.set_start_time_unix_nano(5);
  span.set_end_time_unix_nano(5);
  tempo.stored.add(data.SerializeAsString());
  const std::string body = tempo.body("/api/search?" + q("{}"));
  CHECK(body.starts_with(R"({"traces":[{"traceID":"abcd","startTimeUnixNano":"5","spanSets":[{"spans":[)"
                         R"({"spanID":"0000000000000001","startTimeUnixNano":"5"}],"matched":1}],)"
                         R"("serviceStats":{"":{"spanCount":1}}}])"));
  CHECK(tempo.get("/api/traces/abcd").status == 200);
}

TEST_CASE("a search by tags, durations and time", "[web]") {
  Tempo tempo;
  CHECK(tempo.found("") == "321");
  CHECK(tempo.found("limit=2") == "32");
  CHECK(tempo.found("limit=&spss=&start=&end=&tags=&minDuration=&q=") == "321");
  CHECK(tempo.found("tags=service.name%3Dpayment") == "1");
  CHECK(tempo.found("tags=db.system%3Dredis+hit%3Dtrue") == "1");
  CHECK(tempo.found("tags=db.system%3Dredis+service.name%3Dfrontend") == "1");  // of two spans, as in Tempo
  CHECK(tempo.found("tags=db.system%3Dredis+service.name%3Dbatch").empty());
  CHECK(tempo.found("tags=http.status_code%3D500") == "21");  // a text and a number
  CHECK(tempo.found("tags=ratio%3D1.5") == "1");
  CHECK(tempo.found("tags=ratio%3D-1.5").empty());
  for (const char* odd : {"9223372036854775808", "1.", ".5", "-", "1e5", "nan", "0x1", "%00", "%FF"})
    CHECK(tempo.found(std::string("tags=ratio%3D") + odd).empty());
  CHECK(tempo.found("tags=name%3D%22GET+/checkout%22") == "1");
  CHECK(tempo.found("tags=status.code%3Derror") == "1");
  CHECK(tempo.found("tags=root.name%3Djob+root.service.name%3Dbatch") == "2");
  CHECK(tempo.found("tags=root.name%3D%22a%5C%22b%22").empty());
  CHECK(tempo.found("minDuration=1s") == "21");
  CHECK(tempo.found("minDuration=1s&maxDuration=2s") == "1");
  CHECK(tempo.found("maxDuration=10ms&tags=foo%3Dbar") == "3");
  CHECK(tempo.found("start=1700000001&end=1700000002") == "21");
  CHECK(tempo.found("start=1700000002&end=1700000009") == "2");
  CHECK(tempo.found("start=1699999990&end=1700000000") == "321");
  CHECK(tempo.found("start=1700000006&end=1700000007").empty());
  CHECK(tempo.found(q("{ status = error }") + "&unknown=1") == "1");
}

TEST_CASE("every parameter of a search says what was wanted", "[web]") {
  Tempo tempo;
  const auto error = [&](const std::string& parameters) { return tempo.error("/api/search?" + parameters); };
  CHECK(error(q("{ kind = \"server\" }")).starts_with("400 invalid TraceQL query: line 1, column 10: expected a kind"));
  CHECK(error(q("{} | rate()")).starts_with("400 invalid TraceQL query: line 1, column 6: "));
  CHECK(error("limit=0") == "400 limit: expected 1 to 10000, got '0'");
  CHECK(error("limit=x") == "400 limit: expected 1 to 10000, got 'x'");
  CHECK(error("spss=101") == "400 spss: expected 0 to 100, got '101'");
  CHECK(error("start=1700000000") == "400 end: expected Unix seconds after start, got ''");
  CHECK(error("end=1700000000") == "400 start: expected Unix seconds, since there is an end, got ''");
  CHECK(error("start=2&end=2") == "400 end: expected Unix seconds after start, got '2'");
  CHECK(error("start=yesterday&end=2") == "400 start: expected 0 to 4294967295, got 'yesterday'");
  CHECK(error("minDuration=1") == "400 minDuration: expected a duration like 1.5s or 300ms, got '1'");
  CHECK(error("maxDuration=x") == "400 maxDuration: expected a duration like 1.5s or 300ms, got 'x'");
  CHECK(error("minDuration=2s&maxDuration=1s") == "400 maxDuration: expected no less than minDuration, got '1s'");
  CHECK(error("tags=x") == "400 tags: expected key=value or key=\"a value\", got 'x'");
  CHECK(error("tags=status.code%3Dbad") == "400 tags: status.code: expected unset, ok or error, got 'bad'");
  CHECK(error("tags=a%3Db&" + q("{}")).starts_with("400 expected either q, or tags"));
  CHECK(error("minDuration=1s&" + q("{}")).starts_with("400 expected either q, or tags"));
}

TEST_CASE("a search that was cut says so, as an error when it has found nothing", "[web]") {
  Tempo few({.bytes_max = 1});
  CHECK(few.body("/api/search").ends_with(R"(,"totalJobs":1}})"));
  CHECK(few.body("/api/search").find("completedJobs") == std::string::npos);
  CHECK(few.error("/api/search?" + q("{ statusMessage = \"none\" }")).starts_with("422 nothing was found: "));
  Tempo none({.steps_max = 1});
  CHECK(none.error("/api/search?" + q("{ name =~ \"x.*\" }"))
            .starts_with("422 nothing was found: The query needs too much work"));
}

TEST_CASE("one trace in protobuf and in Tempo's JSON, by both versions", "[web]") {
  Tempo tempo;
  const std::string id = "/A0000000000000000000000000000001";
  const auto wanted = tempo_twin(fixture_traces()[0]);
  const auto is_same = [&](const std::string& bytes) {
    twin::TracesData have;
    return have.ParseFromString(bytes) && same_message(have, *wanted);
  };
  const WholeAnswer first = tempo.get("/api/traces" + id, "application/protobuf");
  CHECK(first.content_type == "application/protobuf");
  CHECK(is_same(first.body));
  const WholeAnswer second = tempo.get("/api/v2/traces" + id, "text/html, application/protobuf;q=0.9");
  REQUIRE(second.body.size() > 3);
  CHECK(second.body[0] == 0x0a);
  CHECK(is_same(second.body.substr(3)));  // the tag and two bytes of length
  CHECK(tempo.body("/api/traces" + id).starts_with(R"({"batches":[{"resource":{"attributes":[{"key":"service.name")"));
  const std::string json = tempo.body("/api/v2/traces" + id + "?start=1&end=x");
  CHECK(json.starts_with(R"({"trace":{"resourceSpans":[{"resource":)"));
  CHECK(json.ends_with(R"(]},"metrics":{}})"));
}

TEST_CASE("a trace that is not stored", "[web]") {
  Tempo tempo;
  CHECK(tempo.error("/api/traces/b") == "404 ");
  CHECK(tempo.get("/api/traces/b", "application/protobuf").body.empty());
  CHECK(tempo.get("/api/v2/traces/b", "application/protobuf").body == std::string("\x0a\0", 2));
  CHECK(tempo.body("/api/v2/traces/b") == R"({"trace":{},"metrics":{}})");
  for (const char* wrong : {"xyz", "", "0", "111111111111111111111111111111111"}) {
    CHECK(tempo.error(std::string("/api/v2/traces/") + wrong)
              .starts_with("400 expected a trace id of 1 to 32 hex digits"));
  }
}

TEST_CASE("tags by scope, in both versions", "[web]") {
  Tempo tempo;
  const std::string all = tempo.body("/api/v2/search/tags?limit=5000");
  CHECK(
      all.starts_with(R"({"scopes":[{"name":"resource","tags":["deployment.environment","service.name"]},)"
                      R"({"name":"span","tags":["db.system","foo","hit","http.method","http.status_code","my attr",)"
                      R"("peer.service","ratio","service.name","tags"]},{"name":"event","tags":["exception.message"]},)"
                      R"({"name":"link","tags":["why"]},{"name":"instrumentation","tags":["lang"]},)"
                      R"({"name":"intrinsic","tags":["duration","event:name",)"));
  CHECK(all.ends_with(R"("traceDuration"]}],"metrics":{}})"
                      "\n"));
  CHECK(tempo.body("/api/v2/search/tags?scope=span&limit=2") ==
        R"({"scopes":[{"name":"span","tags":["db.system","foo"]}],"metrics":{}})"
        "\n");
  CHECK(
      tempo.body("/api/v2/search/tags?scope=intrinsic").starts_with(R"({"scopes":[{"name":"intrinsic","tags":["dur)"));
  CHECK(tempo.body("/api/search/tags?scope=link") == R"({"tagNames":["why"],"metrics":{}})"
                                                     "\n");
  CHECK(
      tempo.body("/api/search/tags").starts_with(R"({"tagNames":["db.system","deployment.environment","exception.m)"));
  CHECK(tempo.body("/api/search/tags").find("traceDuration") == std::string::npos);
  CHECK(tempo.body("/api/search/tags?scope=intrinsic").find("traceDuration") != std::string::npos);
  CHECK(
      tempo.error("/api/v2/search/tags?scope=trace")
          .starts_with("400 scope: expected resource, span, intrinsic, event, link, instrumentation or none, got 't"));
  CHECK(tempo.error("/api/search/tags?limit=-1") == "400 limit: expected 0 to 4294967295, got '-1'");
}

TEST_CASE("values of a tag have the types that the spans have", "[web]") {
  Tempo tempo;
  const auto values = [&](const std::string& tag, const std::string& more = "") {
    const std::string body = tempo.body("/api/v2/search/tag/" + tag + "/values" + more);
    constexpr std::string_view kFront = R"({"tagValues":)";
    REQUIRE(body.starts_with(kFront));
    return body.substr(kFront.size(), body.size() - kFront.size() - 2);
  };
  CHECK(values("resource.service.name", "?limit=2") ==
        R"([{"type":"string","value":"batch"},{"type":"string","value":"frontend"}])");
  CHECK(values("span.http.status_code") ==
        R"([{"type":"int","value":"200"},{"type":"int","value":"500"},{"type":"string","value":"500"}])");
  CHECK(values("span.ratio") == R"([{"type":"float","value":"1.5"}])");
  CHECK(values("span.hit") == R"([{"type":"bool","value":"true"}])");
  CHECK(values("span.tags") == R"([{"type":"string","value":"a"},{"type":"string","value":"b"}])");
  CHECK(values("span.%22my%20attr%22") == R"([{"type":"string","value":"x"}])");
  CHECK(values("span.my%20attr") == R"([{"type":"string","value":"x"}])");
  CHECK(values("event.exception.message") == R"([{"type":"string","value":"card declined"}])");
  CHECK(values("event:name") == R"([{"type":"string","value":"exception"}])");
  CHECK(values("link.why") == R"([{"type":"string","value":"retry"}])");
  CHECK(values("instrumentation.lang") == R"([{"type":"string","value":"go"}])");
  CHECK(values("instrumentation:version") ==
        R"([{"type":"string","value":"1.0.0"},{"type":"string","value":"2.0.0"}])");
  CHECK(values("rootName") == R"([{"type":"string","value":"GET /checkout"},{"type":"string","value":"job"}])");
  CHECK(values("statusMessage") == R"([{"type":"string","value":"boom"}])");
  CHECK(values("status") == R"([{"type":"keyword","value":"error"},{"type":"keyword","value":"ok"},)"
                            R"({"type":"keyword","value":"unset"}])");
  CHECK(values("kind").find(R"({"type":"keyword","value":"producer"})") != std::string::npos);
  for (const char* none :
       {"duration", "traceDuration", "span.undefined", "resource.", ".", "a/b", "trace:id", "%22", "span.%22"})
    CHECK(values(none) == "[]");
}

TEST_CASE("values of a tag among the spans that a query finds so far", "[web]") {
  Tempo tempo;
  const auto values = [&](const std::string& tag, const std::string& query) {
    return tempo.body("/api/v2/search/tag/" + tag + "/values?" + q(query));
  };
  const std::string pay = R"({"tagValues":[{"type":"string","value":"POST /pay"}]})"
                          "\n";
  CHECK(values("name", "{ status = error }") == pay);
  CHECK(values("name", "{ status = error && resource.service.name = }") == pay);
  CHECK(values("name", "{ status = error && ") == pay);
  CHECK(values("span.http.status_code", "{ resource.service.name = \"batch\" }") ==
        R"({"tagValues":[{"type":"string","value":"500"}]})"
        "\n");
  CHECK(values("name", "{ } >> { broken").find("orphan") != std::string::npos);  // not understood: all
  CHECK(values("name", " { } ").find("orphan") != std::string::npos);
  CHECK(tempo.body("/api/v2/search/tag/name/values?start=1700000002&end=1700000003&" + q("{ true }")) ==
        R"({"tagValues":[{"type":"string","value":"job"}]})"
        "\n");
  CHECK(tempo.error("/api/v2/search/tag/name/values?start=3&end=2").starts_with("400 end: expected"));
  CHECK(tempo.error("/api/v2/search/tag/name/values?limit=x").starts_with("400 limit: expected"));
  CHECK(tempo.error("/api/v2/search/tag/name").starts_with("404 expected /values after the name of the tag"));
}

TEST_CASE("values in the first version are texts", "[web]") {
  Tempo tempo;
  CHECK(tempo.body("/api/search/tag/http.status_code/values") == R"({"tagValues":["200","500"]})"
                                                                 "\n");
  CHECK(tempo.body("/api/search/tag/db.system/values?limit=1") == R"({"tagValues":["postgresql"]})"
                                                                  "\n");
  CHECK(tempo.body("/api/search/tag/nobody/values") == R"({"tagValues":[]})"
                                                       "\n");
}

TEST_CASE("what needs no store, and what there is not", "[web]") {
  Tempo tempo;
  CHECK(tempo.error("/api/echo") == "200 echo");
  CHECK(tempo.error("/ready") == "200 ready");
  CHECK(tempo.get("/api/status/buildinfo").body.find(R"("version":)") != std::string::npos);
  CHECK(tempo.error("/api/metrics/query_range?q=x").starts_with("501 metrics of TraceQL (rate(), "));
  CHECK(tempo.error("/api/metrics/query").starts_with("501 metrics of TraceQL"));
  CHECK(tempo.error("/api/overrides").starts_with("404 "));
  Pages pages;
  QueryPool pool({.threads = 1});
  add_tempo_door(pages, pool, {});
  CHECK(ask(pages, "/tempo/api/echo").status == 200);
  CHECK(ask(pages, "/tempo/api/search?limit=0").status == 501);  // what is asked is read with a store only
  for (const char* path : {"search", "search/tags", "v2/search/tag/name/values", "traces/1", "v2/traces/1"}) {
    const WholeAnswer answer = ask(pages, std::string("/tempo/api/") + path);
    CHECK(answer.status == 501);
    CHECK(answer.body.starts_with("nothing is stored here"));
  }
}

TEST_CASE("a long answer comes in pieces, and the search ends when nobody waits for it", "[web]") {
  Tempo tempo({.time_max = std::chrono::seconds(60)}, true);
  for (int n = 1; n <= 60; ++n) {
    twin::TracesData data;
    auto& span = *data.add_resource_spans()->add_scope_spans()->add_spans();
    span.set_trace_id(std::string(15, 'x') + static_cast<char>(n));
    span.set_span_id("12345678");
    span.set_name(std::string(10'000, static_cast<char>('a' + n % 26)));
    span.set_start_time_unix_nano(1'000'000'000ULL * static_cast<std::uint64_t>(n));
    tempo.stored.add(data.SerializeAsString());
  }
  const std::string query = "/api/search?limit=100&" + q("{ name != \"\" }");
  const std::string body = tempo.body(query);
  CHECK(body.size() > 1'000'000);  // the name as the trace's and as the span's
  simdjson::dom::parser parser;
  CHECK(parser.parse(body)["traces"].get_array().size() == 60);

  RequestHead head;
  head.method = "GET";
  head.target = "/tempo" + query;
  BodyBuffer none;
  Response response;
  tempo.pages.handle(head, none, response);
  REQUIRE(response.later != nullptr);
  while (!response.later->take_head()) std::this_thread::yield();  // it has begun, and soon waits for its reader
  response.later->cancel();
  while (tempo.pool.stats().cancelled == 0) std::this_thread::yield();
}
