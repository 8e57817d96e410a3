// SPDX-License-Identifier: Apache-2.0
// Requests, responses, and the handler that a server gives them to; the same for HTTP/1.1 and HTTP/2.
//
//   headers complete ─→ admit(): refuses now, or says how large the body may get
//   body complete    ─→ handle(): runs to completion on the I/O thread and fills in the response
//   refused          ─→ refuse(): too large, no memory, no credentials, a limit of the client, an exception. Counts
//                       the refusal and returns the response in the protocol's own words. Also called for a request
//                       that is reset without an answer, whose head may be incomplete
//
// Threads: all I/O threads share a handler and call it at the same time. No call may block. The arguments live until
// the call returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "net/body_buffer.h"
#include "net/refusal.h"

namespace tailgate {

class Client;
class LaterAnswer;

// Names of media types, codings and headers are compared like this (RFC 9110 section 8.3.1).
bool equal_ignoring_case(std::string_view a, std::string_view b);

// The media type of a Content-Type, without its parameters.
std::string_view media_type_of(std::string_view content_type);

// The path and query of a request target in the absolute form that proxies are sent, which servers must take too (RFC
// 9112 section 3.2.2). Other forms stay as they are.
std::string origin_form(std::string_view target);

// Header fields in one block of memory; names in lower case, values without surrounding blanks. Each request clears and
// fills it again, so a request costs no allocation once the block has grown.
class HeaderList {
 public:
  void add(std::string_view name, std::string_view value);
  void clear() {
    bytes_.clear();
    fields_.clear();
  }
  // The first field of that name (lower case); empty when absent.
  std::optional<std::string_view> find(std::string_view name) const;
  std::string_view get(std::string_view name) const { return find(name).value_or(std::string_view{}); }
  std::size_t count(std::string_view name) const;
  std::size_t size() const { return fields_.size(); }

 private:
  struct Field {
    std::uint32_t begin, name_size, value_size;
  };
  std::string bytes_;
  std::vector<Field> fields_;
};

struct RequestHead {
  std::string method;
  std::string target;  // path and query as the client sent them
  HeaderList headers;
  std::string remote;              // address without the port; "unix:UID" over a Unix socket
  std::string identity;            // the sender's, from its credentials or certificate; empty: unknown
  std::shared_ptr<Client> client;  // the sender's account (net/http/clients.h); null: not counted
  bool is_http2 = false;
  std::optional<std::uint64_t> content_length;
  TimePoint answer_by = TimePoint::max();  // for others' requests its answer waits no longer (net/http/sender_pace.h)

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
  std::string_view query() const {  // without the '?'
    const auto at = target.find('?');
    return at == std::string::npos ? std::string_view{} : std::string_view(target).substr(at + 1);
  }
  std::string_view header(std::string_view lower_case_name) const { return headers.get(lower_case_name); }
  void clear();
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>>
      headers;  // names in lower case; content-length is added by the server
  std::string body;
  std::vector<std::pair<std::string, std::string>> trailers;  // HTTP/2 only
  bool close = false;                                         // HTTP/1.1: close the connection after it
  // HTTP/2 only. Set: the answer stays open after its body until the session drains; then this follows, and the
  // trailers. Needs a body.
  std::optional<std::string> at_drain = {};
  // Set: another thread makes the answer (later_answer.h), and nothing above counts.
  std::shared_ptr<LaterAnswer> later = {};
};

// An answer of one line of text for people. Without `text` it has no body.
Response plain_response(int status, std::string_view text = {});

// What to do with a request whose headers are complete.
struct Admission {
  std::optional<Response> refusal;  // set: this is the answer, and the body is not read
  std::size_t body_bytes_max = 64 << 20;
  // The body is one gRPC message. Its 5-byte prefix has the length, and a length over the cap is refused at once.
  bool grpc = false;
  bool open = false;  // anybody may ask, with or without credentials
  bool wait = false;  // not decided yet, ask again in a moment. Door sets it, handlers do not
};

class Handler {
 public:
  virtual ~Handler() = default;
  virtual Admission admit(const RequestHead& head) = 0;
  virtual void handle(const RequestHead& head, BodyBuffer& body, Response& response) = 0;
  virtual Response refuse(const RequestHead& head, const Refusal& refusal) = 0;
};

// For a handler whose call has thrown: its refusal for kInternal, or a plain 500 when that throws too.
Response refuse_failed(Handler& handler, const RequestHead& head) noexcept;

std::string_view http_reason(int status);  // "OK", "Not Found"; "Unknown" for others

}  // namespace tailgate
