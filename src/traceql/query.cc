// SPDX-License-Identifier: Apache-2.0
#include "traceql/query.h"

#include "traceql/ast.h"

namespace tailgate::traceql {

Result<Query> parse_query(std::string_view text) {
  Result<std::shared_ptr<const Ast>> ast = parse_syntax(text);
  if (!ast) return tl::unexpected(ast.error());
  Query query;
  query.ast_ = std::move(*ast);
  query.text_ = std::make_shared<const std::string>(text);
  return query;
}

}  // namespace tailgate::traceql
