// SPDX-License-Identifier: Apache-2.0
#include "net/http/door.h"

#include <exception>

#include "codec/hex.h"
#include "net/auth/auth.h"
#include "net/http/session.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

// Some senders trace their own exports; Tailgate does not continue such a trace. The value comes from strangers, so it
// is logged only when it has the form of W3C trace context.
void log_traceparent(const RequestHead& head) {
  const std::string_view value = head.header("traceparent");
  if (value.empty()) return;
  bool formed = value.size() == 55;
  for (std::size_t i = 0; formed && i < value.size(); ++i) {
    const bool dash = i == 2 || i == 35 || i == 52;
    formed = dash ? value[i] == '-' : is_lower_hex_digit(value[i]);
  }
  log_debug("a request carries a traceparent; it is not continued",
            {{"traceparent", formed ? value : std::string_view("malformed")}, {"remote", head.remote}});
}

}  // namespace

Door::Door(const SessionContext& context, std::string_view address)
    : context_(context), address_(client_of_address(address)) {}

Admission Door::admit(RequestHead& head, TimePoint now) {
  Admission out;
  try {
    out = context_.handler.admit(head);
    if (out.refusal) return out;
    std::optional<Refusal> refusal = identify(head, out);
    if (out.wait) return out;
    // Logged only now, because a request that waits comes here at every tick.
    if (log_enabled(LogLevel::kDebug)) log_traceparent(head);
    if (!refusal) refusal = measure(head, now);
    if (!refusal) return out;
    out.refusal = context_.handler.refuse(head, *refusal);
    if (out.refusal->status == 401) {
      out.refusal->headers.emplace_back("www-authenticate", context_.auth->challenge());
    }
  } catch (const std::exception&) {
    out.refusal = refuse_failed(context_.handler, head);
  }
  return out;
}

std::optional<Refusal> Door::identify(RequestHead& head, Admission& admission) {
  head.identity = certificate_name_;
  if (context_.auth == nullptr || admission.open) return std::nullopt;
  if (head.headers.count("authorization") > 1) return RefuseWhy::kBadCredentials;
  switch (context_.auth->check(head.header("authorization"), address_, head.identity)) {
    case AuthVerdict::kPassed:
      return std::nullopt;
    case AuthVerdict::kMissing:
      return RefuseWhy::kNoCredentials;
    case AuthVerdict::kWrong:
      return RefuseWhy::kBadCredentials;
    case AuthVerdict::kBusy:
      return RefuseWhy::kAuthBusy;
    case AuthVerdict::kChecking:
      admission.wait = true;
  }
  return std::nullopt;
}

std::optional<Refusal> Door::measure(RequestHead& head, TimePoint now) {
  if (context_.clients == nullptr) return std::nullopt;
  if (head.identity.empty()) {
    if (by_address_ == nullptr) by_address_ = context_.clients->find(ClientTable::Kind::kAddress, address_);
    head.client = by_address_;
  } else {
    if (by_identity_ == nullptr || identity_ != head.identity) {
      by_identity_ = context_.clients->find(ClientTable::Kind::kIdentity, head.identity);
      identity_ = head.identity;
    }
    head.client = by_identity_;
    if (!client_connection_.take(by_identity_)) return RefuseWhy::kClientConnections;
  }
  if (const std::uint32_t wait = head.client->bytes_wait(now); wait != 0) return Refusal(RefuseWhy::kClientBytes, wait);
  if (const std::uint32_t wait = head.client->spans_wait(now); wait != 0) return Refusal(RefuseWhy::kClientSpans, wait);
  return std::nullopt;
}

}  // namespace tailgate
