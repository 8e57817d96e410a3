// SPDX-License-Identifier: Apache-2.0
// What the answer of an HTTP backend means: the one place that decides whether a request is sent again.
//
//   429, 502, 503, 504     sent again, after Retry-After (OTLP specification, "OTLP/HTTP Response")
//   408, 425, other 5xx    sent again: servers and proxies say this about a moment, not about what they were sent
//   1xx, 3xx               sent again: whoever says this is not the backend
//   501, 505, other 4xx    final: of every request (401, 404, ...), of the size (413), or of what is in this request
//
// `retry_on_failure.also` names further statuses that are sent again. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "export/queue/batch.h"
#include "net/client/http_client.h"

namespace tailgate {

inline constexpr std::size_t kQuotedMax = 300;  // bytes of a backend's answer in a message

// Whether the status, which is not 2xx, is sent again by default.
bool is_transient(int status);

// The failure that a status other than 2xx stands for. `detail` is what the server said; a Retry-After with a date is
// read against `wall_ns`.
SendResult failure_of(const HttpReply& reply, std::string_view detail, std::uint64_t wall_ns,
                      const std::vector<int>& also = {});
// The failure of a request that got no answer.
SendResult failure_of(const Error& error);

// The failure of a request whose answer says 2xx and is not what the backend says when it took something: a proxy's
// login page is not a delivery. It is sent again.
SendResult not_believed(const HttpReply& reply, std::string_view expected);

// The media type in lower case, without parameters; "" when the answer has none.
std::string media_type_of(const HttpReply& reply);
bool is_web_page(const HttpReply& reply);
// The front of the body for a message: at most kQuotedMax bytes, blanks for what is not printable ASCII.
std::string text_of(const HttpReply& reply);

}  // namespace tailgate
