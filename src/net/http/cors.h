// SPDX-License-Identifier: Apache-2.0
// CORS: which web pages may send to an endpoint (https://fetch.spec.whatwg.org/#http-cors-protocol). Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/http/http.h"

namespace tailgate {

class ConfigNode;

struct CorsOptions {
  std::vector<std::string> allowed_origins = {};  // "*" matches any characters; empty: CORS is off
  std::vector<std::string> allowed_headers = {};  // besides Accept, Content-Type and X-Requested-With; "*": any
  std::int64_t max_age_seconds = 0;               // how long a browser may remember a preflight; 0: its own default
};

// The Collector's `cors:` map.
CorsOptions read_cors(const ConfigNode& node);

bool origin_is_allowed(const CorsOptions& cors, std::string_view origin);

// The answer to a preflight (OPTIONS with Access-Control-Request-Method); empty for other requests.
std::optional<Response> preflight(const CorsOptions& cors, const RequestHead& head);

// Adds the headers that let a page of an allowed origin read the answer.
void add_cors_headers(const CorsOptions& cors, const RequestHead& head, Response& response);

}  // namespace tailgate
