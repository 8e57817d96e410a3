// SPDX-License-Identifier: Apache-2.0
// What S3 answers, as far as the s3 exporter has to understand it. Its XML is flat where we look. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "export/queue/send_queue.h"
#include "net/client/http_client.h"

namespace tailgate {

// The text of the first element `name`, its entities resolved, of at most 16 KiB; "" when there is none.
std::string xml_text(std::string_view xml, std::string_view name);

// The body that completes a multipart upload.
std::string complete_parts(const std::vector<std::string>& etags);

// True: done. A multipart upload can fail with status 200 and an error in the body.
bool s3_succeeded(const HttpReply& reply);
// A multipart upload is complete only when the store says so: a proxy answers 200 too.
bool s3_completed(const HttpReply& reply);

// Every failure is tried again: nothing a span holds can make a store refuse a file, so what it says no to is our
// settings, its own or its state, and all of these can be mended.
SendResult s3_failure(const HttpReply& reply, std::uint64_t wall_ns);

}  // namespace tailgate
