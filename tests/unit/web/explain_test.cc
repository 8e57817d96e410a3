// SPDX-License-Identifier: Apache-2.0
#include "web/explain.h"

#include <simdjson.h>

#include <catch2/catch.hpp>

#include "net/http/later_answer.h"

using namespace tailgate;

namespace {

struct Asked {
  int status = 0;
  std::string body;
};

Asked get(Pages& pages, const std::string& target, const std::string& accept = "*/*") {
  RequestHead head;
  head.headers.add("accept", accept);
  head.method = "GET";
  head.target = target;
  if (const Admission admission = pages.admit(head); admission.refusal)
    return {admission.refusal->status, admission.refusal->body};
  BodyBuffer body;
  Response response;
  pages.handle(head, body, response);
  return {response.status, response.body};
}

bool is_json(const std::string& text) {
  simdjson::dom::parser parser;
  return parser.parse(text).error() == simdjson::SUCCESS;
}

struct Known final : ExplainSource {
  std::optional<Explanation> explain(const TraceId&) const override { return trace; }
  Result<std::vector<Explanation>> recent(const ExplainQuery& query) const override {
    if (query.policy == "none") return fail(ErrorKind::kBadInput, "policy: expected one of a, b, got 'none'");
    asked = query;
    return trace ? std::vector(2, *trace) : std::vector<Explanation>();
  }
  ShadowReport shadow() const override { return {}; }

  std::optional<Explanation> trace;
  mutable ExplainQuery asked;
};

const std::string kId = "4bf92f3577b34da6a3ce929d0e0e4736";

}  // namespace

TEST_CASE("whatever the names of a trace are, the answer is JSON", "[web]") {
  Explanation known;
  known.id = *TraceId::from_hex(kId);
  known.decided = true;
  known.root_service = GENERATE(std::string("\xff\xfe"), std::string("caf\xc3"), std::string("a\0\"\\\n\x1f", 7));
  known.root_name = std::string("\xe6\xb3\xa8\xe6\x96", 5);  // the second character is cut
  Known source;
  source.trace = known;
  Pages pages;
  add_explain_pages(pages, source, {});
  for (const std::string& target : {"/explain/" + kId, std::string("/explain")}) {
    const Asked asked = get(pages, target);
    CHECK(asked.status == 200);
    CHECK(is_json(asked.body));
    CHECK(asked.body.find("\xe6\xb3\xa8\xef\xbf\xbd") != std::string::npos);
  }
}

TEST_CASE("of a trace whose verdict alone is known nothing else is said", "[web]") {
  Explanation known;
  known.id = *TraceId::from_hex(kId);
  known.decided = known.verdict_only = true;
  known.policy = "slow";
  known.verdict.reason = CloseReason::kRoot;
  Known source;
  source.trace = known;
  Pages pages;
  add_explain_pages(pages, source, {});
  const Asked json = get(pages, "/explain/" + kId);
  CHECK(json.status == 200);
  simdjson::dom::parser parser;
  const simdjson::dom::element said = parser.parse(json.body);
  CHECK(bool(said["verdict_only"]));
  CHECK(std::string_view(said["verdict"]) == "not_sampled");
  CHECK(std::string_view(said["policy"]) == "slow");
  CHECK(std::string_view(said["close_reason"]) == "root");
  for (const char* unknown : {"first_seen", "decided", "duration_ms", "spans", "errors", "bytes", "root", "random",
                              "missing_parents", "missing_parents_count", "late_spans", "late_errors"}) {
    INFO(unknown);
    CHECK(said[unknown].is_null());
  }
  const Asked html = get(pages, "/explain/" + kId, "text/html");
  CHECK(html.body.find("only the verdict") != std::string::npos);
  CHECK(html.body.find("1970") == std::string::npos);
}

TEST_CASE("a wrong question gets an answer that is JSON and says what was wanted", "[web]") {
  const Known nothing;
  Pages pages;
  add_explain_pages(pages, nothing, {});
  const auto refused = [&](const std::string& target, int status, const std::string& says) {
    const Asked asked = get(pages, target);
    INFO(target << ": " << asked.body);
    CHECK(asked.status == status);
    CHECK(is_json(asked.body));
    CHECK(asked.body.find(says) != std::string::npos);
  };
  refused("/explain/" + kId, 404, "nothing is known");
  refused("/explain/", 400, "32 hex digits");
  refused("/explain/\xff\xff", 400, "32 hex digits");
  refused("/explain/" + std::string(32, '0'), 400, "not zero");
  refused("/explain?decision=%ff%00", 400, "expected sampled, not_sampled or dropped");
  refused("/explain?limit=0", 400, "expected 1 to 1000, got '0'");
  refused("/explain?limit=99999999999999999999", 400, "expected 1 to 1000");
  refused("/explain?polcy=x", 400, "got 'polcy'");
  refused("/explain?policy=none", 400, "expected one of a, b, got 'none'");
  refused("/explain?pretty=maybe", 400, "pretty: expected true or false");
  refused("/explain/" + kId + "?limit=1", 400, "expected pretty, got 'limit'");
  CHECK(get(pages, "/explain?policy=a%20b&decision=sampled&limit=5&").body == "[]\n");
}

TEST_CASE("times are ISO, numbers have no exponent, votes say why", "[web]") {
  Known source;
  source.trace = Explanation();
  source.trace->id = *TraceId::from_hex(kId);
  source.trace->decided = true;
  source.trace->first_seen_unix_ns = 1'790'000'000'120'000'000;
  source.trace->decided_unix_ns = 1'790'000'030'002'999'999;
  source.trace->duration_ns = 10'000;
  source.trace->votes = {{"slow", "not_sampled", "", "", "duration 10 us, wanted > 1000 ms"}};
  Pages pages;
  add_explain_pages(pages, source, {});
  const std::string body = get(pages, "/explain/" + kId).body;
  for (const char* const part :
       {R"("first_seen":"2026-09-21T14:13:20.120Z")", R"("decided":"2026-09-21T14:13:50.002Z")",
        R"("duration_ms":0.01,)", R"("span_id":null,"attribute":null,"why":"duration 10 us, wanted > 1000 ms"})"}) {
    INFO(body << " has " << part);
    CHECK(body.find(part) != std::string::npos);
  }
  const std::string pretty = get(pages, "/explain/" + kId + "?pretty").body;
  CHECK(is_json(pretty));
  CHECK(pretty.find("\n  \"duration_ms\": 0.01,\n") != std::string::npos);
  CHECK(pretty.find("\"missing_parents\": [],") != std::string::npos);
  get(pages, "/explain?service=check*&root=GET+/pay&pretty");
  CHECK(source.asked.service == "check*");
  CHECK(source.asked.root == "GET /pay");
}

TEST_CASE("a browser gets a page in which every text is escaped", "[web]") {
  Known source;
  source.trace = Explanation();
  source.trace->id = *TraceId::from_hex(kId);
  source.trace->decided = true;
  source.trace->verdict.decision = Decision::kSampled;
  source.trace->policy = "rules/slow";
  source.trace->root_service = "<script>\xff";
  source.trace->root_name = "GET /a&b";
  source.trace->votes = {{"rules", "sampled", "00f067aa0ba902b7", "", "rule slow: x > \"1\""},
                         {"rule", "sampled", "", "", "another"}};
  Pages pages;
  add_explain_pages(pages, source, {});
  for (const std::string& target : {"/explain/" + kId, std::string("/explain?policy=\"><b>")}) {
    const Asked asked = get(pages, target, "text/html,application/xhtml+xml,*/*;q=0.8");
    INFO(asked.body);
    CHECK(asked.status == 200);
    CHECK(asked.body.starts_with("<!DOCTYPE html>"));
    CHECK(asked.body.find("&lt;script&gt;\xef\xbf\xbd") != std::string::npos);
    CHECK(asked.body.find("rule slow: x &gt; &quot;1&quot;") != std::string::npos);
    CHECK(asked.body.find("<script") == std::string::npos);
    CHECK(asked.body.find("\"><b>") == std::string::npos);
  }
  const Asked wrong = get(pages, "/explain?policy=none", "text/html");
  CHECK((wrong.status == 400 && wrong.body.find("expected one of a, b") != std::string::npos));
}

TEST_CASE("of a trace of which only the verdict is known here the other members are asked", "[web]") {
  Known source;
  source.trace = Explanation();
  source.trace->id = *TraceId::from_hex(kId);
  source.trace->decided = source.trace->verdict_only = true;
  int asked = 0;
  std::string says = R"({"state":"decided","spans":5})";
  OtherMembers others;
  others.self = "a";
  others.ask = [&](const auto& question, const auto& done) {
    ++asked;
    CHECK(question("b")->target == "/explain/" + kId);
    done({{"b", PageAnswer{says.empty() ? 404 : 200, says}, ""}});
  };
  Pages pages;
  ExplainPageOptions options;
  options.others = others;
  add_explain_pages(pages, source, options);
  const auto answer = [&] {
    RequestHead head;
    head.method = "GET";
    head.target = "/explain/" + kId;
    BodyBuffer body;
    Response response;
    pages.handle(head, body, response);
    return response.later != nullptr ? response.later->take_head()->response.body : response.body;
  };
  CHECK(answer() == R"({"state":"decided","spans":5,"member":"b"})"
                    "\n");
  says.clear();
  CHECK(answer().find(R"("verdict_only":true)") != std::string::npos);
  CHECK(answer().find(R"("member":"a")") != std::string::npos);
  CHECK(asked == 3);
  source.trace->verdict_only = false;
  CHECK(answer().find("member") == std::string::npos);
  CHECK(asked == 3);
}
