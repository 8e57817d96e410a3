// SPDX-License-Identifier: Apache-2.0
// What an object store, or a server that hands out its keys, answers: any bytes are understood or not, within limits,
// and keys in JSON as simdjson has them.
#include <simdjson.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "export/s3/credentials.h"
#include "export/s3/reply.h"

using namespace tailgate;

namespace {

std::string member(const simdjson::dom::element& root, std::string_view name) {
  std::string_view text;
  return root[name].get(text) == simdjson::SUCCESS ? std::string(text) : "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  HttpReply reply;
  reply.status = 200 + data[0] * 2;
  reply.body.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string code = xml_text(reply.body, "Code");
  if (code.size() > reply.body.size()) std::abort();
  if (code.empty() != (xml_text("<Error>" + reply.body, "Code").empty())) std::abort();
  if (!s3_succeeded(reply)) {
    const SendResult failure = s3_failure(reply, 0);
    if (failure.kind != SendResult::Kind::kRetry || failure.detail.size() > 1000) std::abort();
  }
  read_credentials_reply(reply.body, true);

  const AwsCredentials keys = read_credentials_reply(reply.body, false);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(reply.body).get(root) != simdjson::SUCCESS) return 0;  // they differ on odd numbers and depths
  std::size_t named = 0;  // of a name that is there twice one has the first, the other the last
  for (std::size_t at = 0; (at = reply.body.find("AccessKeyId", at)) != std::string::npos; ++at) ++named;
  if (named == 1 && !keys.access_key.empty() && keys.access_key != member(root, "AccessKeyId")) std::abort();
  return 0;
}
