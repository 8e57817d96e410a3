// SPDX-License-Identifier: Apache-2.0
// AWS signature version 4, as S3 wants it: the hash of the body and the time are headers, and signed.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
// Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "net/client/http_client.h"

namespace tailgate {

struct AwsCredentials {
  std::string access_key, secret_key;
  std::string session_token = {};  // of credentials for a while
};

// Whether a key or token may go into a header: of one line, printable ASCII, inside with blanks only where these are
// allowed ("Basic abc").
bool is_printable(std::string_view secret, bool blanks = false);

struct AwsRequest {
  std::string_view method;
  std::string_view host;   // as in the Host header
  std::string_view path;   // as it is sent, so encoded
  std::string_view query;  // the same; names in order, each with its '='
  ByteView body;
};

// The headers that sign `request` for S3 in `region` at that time, Authorization among them.
HttpHeaders aws_headers(const AwsRequest& request, const AwsCredentials& credentials, std::string_view region,
                        std::uint64_t now_unix_ns);

std::string sha256_hex(ByteView bytes);
std::string sha256_hex(const std::vector<std::string>& pieces);  // of them as one

}  // namespace tailgate
