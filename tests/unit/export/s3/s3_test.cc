// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "codec/percent.h"
#include "config/config_file.h"
#include "export/exporters.h"
#include "export/registry.h"
#include "export/s3/aws_signature.h"
#include "export/s3/credentials.h"
#include "export/s3/reply.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kMay_ns = 1'369'353'600'000'000'000;  // 2013-05-24T00:00:00Z, as in Amazon's examples
const AwsCredentials kExample = {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};

std::string header(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "none";
}

// All but the one error of a build that has no module beside its tests, which is in every configuration with s3.
std::vector<std::string> errors_of(const std::string& keys) {
  ByteBudget budget({0, 0, 1 << 20, 0});
  const auto doc = load_config_text("s3: {" + keys + "}", "t.yaml");
  REQUIRE(doc);
  (void)Exporters::make(doc->root, budget, {});
  const auto absent = [](const std::string& e) {
    return e.find("s3: expected a build with Parquet") != std::string::npos;
  };
  std::vector<std::string> errors = messages(doc->issues->errors);
  CHECK(std::count_if(errors.begin(), errors.end(), absent) == 1);
  std::erase_if(errors, absent);
  return errors;
}

ExporterParts parts_of(const std::string& keys) {
  const auto doc = load_config_text("s3: {" + keys + "}", "t.yaml");
  return find_exporter_type("s3")->read(doc->root.child("s3"), {});
}

HttpReply error_reply(int status, const std::string& code = "", const std::string& message = "") {
  HttpReply out;
  out.status = status;
  if (!code.empty()) out.body = "<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>";
  return out;
}

const std::string kGood = "bucket: traces, access_key: k, secret_key: s";

}  // namespace

TEST_CASE("requests are signed as in Amazon's examples", "[export][s3]") {
  const std::string host = "examplebucket.s3.amazonaws.com";
  const HttpHeaders lifecycle = aws_headers({"GET", host, "/", "lifecycle=", ""}, kExample, "us-east-1", kMay_ns);
  CHECK(header(lifecycle, "x-amz-date") == "20130524T000000Z");
  CHECK(header(lifecycle, "x-amz-content-sha256") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(header(lifecycle, "Authorization") ==
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;"
        "x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
  const HttpHeaders list = aws_headers({"GET", host, "/", "max-keys=2&prefix=J", ""}, kExample, "us-east-1", kMay_ns);
  CHECK(header(list, "Authorization")
            .ends_with("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST_CASE("a session token is sent, and signed", "[export][s3]") {
  AwsCredentials session = kExample;
  session.session_token = "token";
  const HttpHeaders headers = aws_headers({"PUT", "h", "/b/k", "", "x"}, session, "eu-west-1", kMay_ns);
  CHECK(header(headers, "x-amz-security-token") == "token");
  CHECK(header(headers, "Authorization").find("x-amz-date;x-amz-security-token,") != std::string::npos);
}

TEST_CASE("object names are percent-encoded as the signature wants it", "[export][s3]") {
  CHECK(percent_encoded("a/dt=2026-05-04/hour=01/x_~.parquet", PercentKeep::kPath) ==
        "a/dt%3D2026-05-04/hour%3D01/x_~.parquet");
  CHECK(percent_encoded("\xc3\xa4 /+", PercentKeep::kUnreserved) == "%C3%A4%20%2F%2B");
}

TEST_CASE("what a store says is found in its XML", "[export][s3]") {
  CHECK(xml_text("<R><UploadId>a&amp;b&lt;</UploadId></R>", "UploadId") == "a&b<");
  CHECK(xml_text("<R><UploadId>a", "UploadId").empty());
  CHECK(xml_text("", "Code").empty());
  std::string many = "<Message>";
  for (int i = 0; i < 1'000'000; ++i) many += "&lt;";
  CHECK(xml_text(many + "</Message>", "Message").size() == 4096);  // of what is long the beginning
  CHECK(
      complete_parts({"\"1\"", "\"2\""}) ==
      R"(<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">)"
      R"(<Part><PartNumber>1</PartNumber><ETag>"1"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>"2"</ETag></Part>)"
      "</CompleteMultipartUpload>");
}

TEST_CASE("a role's keys are read from what STS or a container's agent answers", "[export][s3]") {
  const AwsCredentials json =
      read_credentials_reply(R"({"Code":"Success", "AccessKeyId" : "A", "SecretAccessKey": "b\/c",
                                                         "Token":"t"})",
                             false);
  CHECK(json.access_key == "A");
  CHECK(json.secret_key == "b/c");
  CHECK(json.session_token == "t");
  for (const char* bad : {"", "{}", R"({"AccessKeyId")", R"({"AccessKeyId":)", R"({"AccessKeyId":"x)", "<html>"}) {
    CAPTURE(bad);
    CHECK(read_credentials_reply(bad, false).access_key.empty());
    CHECK(read_credentials_reply(bad, true).access_key.empty());
  }
}

TEST_CASE("an upload that fails with status 200 has failed", "[export][s3]") {
  CHECK(s3_succeeded(error_reply(200)));
  CHECK(s3_succeeded(error_reply(204)));
  CHECK_FALSE(s3_succeeded(error_reply(200, "InternalError")));
  CHECK_FALSE(s3_succeeded(error_reply(403)));
  CHECK(s3_failure(error_reply(200, "InternalError"), 0).reason == FailReason::kUnavailable);
}

TEST_CASE("whatever a store refuses is tried again, and its reason is told", "[export][s3]") {
  const std::tuple<int, const char*, FailReason> rows[] = {
      {503, "SlowDown", FailReason::kRefused},
      {503, "ServiceUnavailable", FailReason::kUnavailable},
      {500, "InternalError", FailReason::kUnavailable},
      {400, "RequestTimeout", FailReason::kTimeout},
      {403, "AccessDenied", FailReason::kRefused},
      {404, "NoSuchBucket", FailReason::kRefused},
      {429, "", FailReason::kRefused},
      {400, "AuthorizationHeaderMalformed", FailReason::kRefused},
      {301, "PermanentRedirect", FailReason::kRefused},
      {413, "EntityTooLarge", FailReason::kRefused},
  };
  for (const auto& [status, code, reason] : rows) {
    CAPTURE(status, code);
    const SendResult result = s3_failure(error_reply(status, code, "because"), 0);
    CHECK(result.kind == SendResult::Kind::kRetry);
    CHECK(result.reason == reason);
    CHECK(result.detail.find(code) != std::string::npos);
  }
  CHECK(s3_failure(error_reply(403, "AccessDenied", "no\nline"), 0).detail == "HTTP status 403: AccessDenied: no line");
  CHECK(s3_failure(error_reply(403, "X", std::string(5000, 'x')), 0).detail.size() < 400);
}

TEST_CASE("every bad s3 key is an error with its place", "[export][s3]") {
  CHECK(errors_of(kGood).empty());
  CHECK(
      errors_of(kGood +
                ", endpoint: 'https://minio:9000/base', region: eu-central-1, prefix: 'a b/..c/+/', session_token: t, "
                "force_path_style: false, timeout: 5s, compression_level: 9, row_group_rows: 5000, part_bytes: 8MiB, "
                "max_file_bytes: 16MiB, max_file_age: 10s, connect_timeout: 2s, format: parquet, tls: "
                "{insecure_skip_verify: true}, "
                "sending_queue: {num_consumers: 4}, retry_on_failure: {max_interval: 10s}, policies: [a]")
          .empty());
  const std::pair<std::string, const char*> rows[] = {
      {"access_key: k, secret_key: s", "bucket: expected the name of a bucket"},
      {"access_key: k, secret_key: s, bucket: No", "bucket: expected the name of a bucket"},
      {"bucket: traces, access_key: k", "s3: expected access_key and secret_key (or their _file), or neither of them"},
      {"bucket: traces, access_key: k, secret_key: 'hu sh'", "s3: expected secret_key of one line"},
      {"bucket: traces, access_key: \"hu sh\\r\", secret_key: k", "s3: expected access_key of one line"},
      {kGood + ", session_token: \"hu sh\\nX-Evil: 1\"", "s3: expected session_token of one line"},
      {"access_key: k, secret_key: s, bucket: a..b", "bucket: expected the name of a bucket"},
      {kGood + ", endpoint: 'http://a:1/b/../c'", "endpoint: expected a path of letters, digits and '-._~/'"},
      {kGood + ", endpoint: 'http://a:1/./c'", "endpoint: expected a path of letters, digits and '-._~/'"},
      {kGood + ", endpoint: 'http://a:1//c'", "endpoint: expected a path of letters, digits and '-._~/'"},
      {kGood + ", endpoint: 'http://a:1/b%20c'", "endpoint: expected a path of letters, digits and '-._~/'"},
      {kGood + ", endpoint: 'http://a:1/b+c'", "endpoint: expected a path of letters, digits and '-._~/'"},
      {kGood + ", prefix: a/../b", "prefix: expected a path of at most 500 bytes"},
      {kGood + ", prefix: ..", "prefix: expected a path of at most 500 bytes"},
      {kGood + ", prefix: ./a", "prefix: expected a path of at most 500 bytes"},
      {kGood + ", connect_timeout: 0s", "connect_timeout: expected 1ms or more"},
      {kGood + ", role_tls: {ca_file: /nonexistent}", "role_tls.ca_file: expected a file that can be read"},
      {kGood + ", endpoint: minio", "endpoint: expected http://host:port or https://host:port"},
      {kGood + ", endpoint: 'http://a:1/?x'", "a query has no place in it"},
      {kGood + ", region: US East", "region: expected a region such as us-east-1"},
      {kGood + ", prefix: /a", "prefix: expected a path of at most 500 bytes without a slash in front"},
      {kGood + ", prefix: a//b", "prefix: expected a path of at most 500 bytes without a slash in front"},
      {kGood + ", part_bytes: 1MiB", "part_bytes: expected 5MiB to 1GiB"},
      {kGood + ", max_file_bytes: 1KiB", "max_file_bytes: expected 1MiB to 4GiB"},
      {kGood + ", max_file_age: 1ms", "max_file_age: expected 100ms or more"},
      {kGood + ", compression_level: 0", "compression_level: expected 1 to 12"},
      {kGood + ", compression_level: 13", "compression_level: expected 1 to 12"},
      {kGood + ", row_group_rows: 1", "row_group_rows: expected 100 to 1000000"},
      {kGood + ", format: json", "format: expected parquet"},
      {kGood + ", sending_queue: {batch: {flush_timeout: 1s}}",
       "batch: expected max_file_bytes and max_file_age instead"},
      {kGood + ", bukcet: x", "did you mean 'bucket'?"},
  };
  for (const auto& [keys, error] : rows) {
    CAPTURE(keys);
    const std::vector<std::string> errors = errors_of(keys);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].find(error) != std::string::npos);
    CHECK(errors[0].find("hu sh") == std::string::npos);
  }
}

TEST_CASE("an s3 batch is what was collected: by size or age, two at a time", "[export][s3]") {
  const SendQueueOptions defaults = parts_of(kGood).queue;
  CHECK(defaults.batch_bytes == 64 << 20);
  CHECK(defaults.flush_timeout == 60s);
  CHECK(defaults.in_flight_max == 2);
  const SendQueueOptions own = parts_of(kGood + ", max_file_bytes: 8MiB, max_file_age: 5s").queue;
  CHECK(own.batch_bytes == 8 << 20);
  CHECK(own.flush_timeout == 5s);
  CHECK(own.durable.window_max == 32 << 20);
}

TEST_CASE("the bucket is in the host for Amazon, in the path elsewhere", "[export][s3]") {
  CHECK(parts_of(kGood).endpoint == "traces.s3.us-east-1.amazonaws.com:443");
  CHECK(parts_of(kGood + ", region: cn-north-1").endpoint == "traces.s3.cn-north-1.amazonaws.com.cn:443");
  CHECK(parts_of(kGood + ", force_path_style: true").endpoint == "s3.us-east-1.amazonaws.com:443");
  CHECK(parts_of("bucket: a.b.c, access_key: k, secret_key: s").endpoint == "s3.us-east-1.amazonaws.com:443");
  CHECK(parts_of(kGood + ", endpoint: 'http://minio:9000'").endpoint == "minio:9000");
}
