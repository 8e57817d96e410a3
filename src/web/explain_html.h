// SPDX-License-Identifier: Apache-2.0
// /explain for people with a browser: the same answers as tables. Without scripts; every text is escaped. Pure; any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/explanation.h"
#include "net/http/http.h"

namespace tailgate {

Response html_list(const ExplainQuery& query, const std::vector<Explanation>& traces, bool remembers);
Response html_trace(const Explanation& trace, const std::vector<std::string>& exporter_names);
Response html_error(int status, std::string_view text);

}  // namespace tailgate
