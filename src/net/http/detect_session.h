// SPDX-License-Identifier: Apache-2.0
// The session of a new connection, which finds out whether the client speaks HTTP/1.1 or HTTP/2. An endpoint takes both
// on one port, also in cleartext, where no ALPN says which one it is.
#pragma once

#include <memory>
#include <string>

#include "net/http/session.h"

namespace tailgate {

// Waits for the first bytes, at most 24: they are the connection preface of HTTP/2 (RFC 9113 section 3.4) or they are
// not. From then on it passes everything to the session of that protocol. A connection that sends nothing is closed
// after the header timeout.
std::unique_ptr<Session> make_http_session(const SessionContext& context, std::string remote, TimePoint now);

}  // namespace tailgate
