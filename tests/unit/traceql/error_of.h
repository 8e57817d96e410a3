// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "traceql/query.h"

namespace tailgate::traceql {

// Why a query does not parse, or "none".
inline std::string error_of(const std::string& text) {
  const Result<Query> query = parse_query(text);
  return query ? "none" : query.error().text;
}

}  // namespace tailgate::traceql
