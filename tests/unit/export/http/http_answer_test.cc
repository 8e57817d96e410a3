// SPDX-License-Identifier: Apache-2.0
#include "export/http/http_answer.h"

#include <catch2/catch.hpp>

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

using Kind = SendResult::Kind;

HttpReply reply(int status, std::string type = "", std::string body = "") {
  HttpReply out;
  out.status = status;
  out.content_type = std::move(type);
  out.body = std::move(body);
  return out;
}

}  // namespace

TEST_CASE("a status that speaks of a moment is retried, one that speaks of the request is final", "[export]") {
  for (const int status : {302, 408, 425, 429, 500, 502, 503, 504, 507, 520, 522, 524, 527, 529, 530, 599}) {
    CAPTURE(status);
    CHECK(failure_of(reply(status), "", 0).kind == Kind::kRetry);
  }
  for (const int status : {400, 401, 403, 404, 405, 413, 415, 422, 431, 501, 505}) {
    CAPTURE(status);
    CHECK(failure_of(reply(status), "", 0).kind == Kind::kPermanent);
    CHECK(failure_of(reply(status), "", 0, {499, status}).kind == Kind::kRetry);
  }
  CHECK(failure_of(reply(408), "", 0).reason == FailReason::kTimeout);
  CHECK(failure_of(reply(429), "", 0).reason == FailReason::kRefused);
  CHECK(failure_of(reply(413), "", 0).reason == FailReason::kRefused);
  CHECK(failure_of(reply(500), "no space", 0).detail == "HTTP status 500: no space");
  HttpReply paced = reply(500);
  paced.retry_after = "7";
  CHECK(failure_of(paced, "", 0).retry_after == Duration(7s));
}

TEST_CASE("an answer that is not believed says what came instead", "[export]") {
  const HttpReply page = reply(200, " Text/HTML ; charset=utf-8", "<html>\nsign in\xff");
  CHECK(is_web_page(page));
  CHECK(not_believed(page, "an answer").kind == Kind::kRetry);
  CHECK(not_believed(page, "an answer").detail ==
        "expected an answer, got HTTP status 200 with text/html: <html> sign in ");
  CHECK(not_believed(reply(200), "an answer").detail == "expected an answer, got HTTP status 200 with no content type");
  CHECK_FALSE(is_web_page(reply(200, "application/json")));
  CHECK(text_of(reply(200, "", std::string(1000, 'x'))).size() == 300);
}

TEST_CASE("a final status says whether it is about all requests, the content or the size", "[export]") {
  using About = SendResult::About;
  const auto about = [](int status) {
    HttpReply reply;
    reply.status = status;
    return failure_of(reply, "", 0).about;
  };
  CHECK(about(400) == About::kContent);
  CHECK(about(422) == About::kContent);
  CHECK(about(413) == About::kSize);
  for (const int status : {401, 403, 404, 405, 501}) CHECK(about(status) == About::kAll);
}
