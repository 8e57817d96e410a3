// SPDX-License-Identifier: Apache-2.0
// The well-known attributes that have a column of their own in the span table (docs/exporters/s3.md):
// OpenTelemetry's semantic conventions, the new name of each before the old ones. They stay in the maps of attributes
// as well. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "wire/otlp/span_view.h"

namespace tailgate {

// A longer value is in the map only, because a resource's values are repeated for each of its spans.
inline constexpr std::size_t kColumnTextMax = 256;

struct TextColumn {
  std::string_view name;
  bool of_resource;
  bool bloom;  // asked for by equality, with more values than a dictionary has room for
  std::array<std::string_view, 3> keys;
};

inline constexpr std::array kTextColumns = {
    TextColumn{"service_namespace", true, false, {"service.namespace"}},
    TextColumn{"service_version", true, false, {"service.version"}},
    TextColumn{"environment", true, false, {"deployment.environment.name", "deployment.environment"}},
    TextColumn{"host", true, true, {"host.name"}},
    TextColumn{"k8s_namespace", true, false, {"k8s.namespace.name"}},
    TextColumn{"k8s_pod", true, true, {"k8s.pod.name"}},
    TextColumn{"http_method", false, false, {"http.request.method", "http.method"}},
    TextColumn{"http_route", false, true, {"http.route"}},
    TextColumn{"url", false, false, {"url.full", "http.url"}},
    TextColumn{"url_path", false, true, {"url.path", "http.target"}},
    TextColumn{"server_address", false, false, {"server.address", "net.peer.name", "http.host"}},
    TextColumn{"rpc_service", false, false, {"rpc.service"}},
    TextColumn{"rpc_method", false, false, {"rpc.method"}},
    TextColumn{"db_system", false, false, {"db.system.name", "db.system"}},
    TextColumn{"messaging_system", false, false, {"messaging.system"}},
    TextColumn{"error_type", false, true, {"error.type"}},
};

// The attribute that a column shows: the last one under the first of the names that exists; null when there is none.
const AttributeValue* find_column(const TextColumn& column, const AttributeViews& attributes);

// A resource with what its spans show of it, looked up once. Moves, and must not be copied: it has views of itself.
struct ResourceColumns {
  ResourceView view;
  const AttributeValue* service = nullptr;                            // service.name
  std::array<const AttributeValue*, kTextColumns.size()> known = {};  // of columns of the resource

  static ResourceColumns of(ByteView prefix);
  ResourceColumns() = default;
  ResourceColumns(ResourceColumns&&) = default;
  ResourceColumns& operator=(ResourceColumns&&) = default;
};

// http.response.status_code, else http.status_code: a number, also one written as a text. Nothing when neither exists
// or fits.
std::optional<std::int32_t> http_status(const AttributeViews& attributes);

// The words of OTLP's enums, "SERVER" and "ERROR"; "" for a number that they do not have.
std::string_view span_kind_word(std::uint32_t kind);
std::string_view status_code_word(std::uint32_t code);

}  // namespace tailgate
