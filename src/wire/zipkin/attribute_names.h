// SPDX-License-Identifier: Apache-2.0
// The attributes that an endpoint of Zipkin becomes, and is made of.
#pragma once

#include <string_view>

namespace tailgate {

// The name of the semantic conventions of today, and the one before.
struct AttributeNames {
  std::string_view now, before;
};
inline constexpr AttributeNames kHttpStatus{"http.response.status_code", "http.status_code"};
inline constexpr AttributeNames kLocalAddress{"network.local.address", "net.host.ip"};
inline constexpr AttributeNames kLocalPort{"network.local.port", "net.host.port"};
inline constexpr AttributeNames kPeerAddress{"network.peer.address", "net.peer.ip"};
inline constexpr AttributeNames kPeerPort{"network.peer.port", "net.peer.port"};
inline constexpr AttributeNames kPeerName{"service.peer.name", "peer.service"};

}  // namespace tailgate
