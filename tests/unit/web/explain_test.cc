// SPDX-License-Identifier: Apache-2.0
#include "web/explain.h"

#include <simdjson.h>

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

struct Asked {
  int status = 0;
  std::string body;
};

Asked get(Pages& pages, const std::string& target) {
  RequestHead head;
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
  std::vector<Explanation> recent(const ExplainQuery&) const override {
    return trace ? std::vector(2, *trace) : std::vector<Explanation>();
  }
  ShadowReport shadow() const override { return {}; }

  std::optional<Explanation> trace;
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
  CHECK(get(pages, "/explain?policy=a%20b&decision=sampled&limit=5&").body == "[]\n");
}
