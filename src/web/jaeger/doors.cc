// SPDX-License-Identifier: Apache-2.0
#include "web/jaeger/doors.h"

#include "web/jaeger/answer.h"

namespace tailgate {

void add_jaeger_doors(Pages& pages, QueryPool& pool, StoreDoorOptions options, AllCalls calls) {
  const JaegerSharedPtr shared =
      std::make_shared<const JaegerShared>(JaegerShared{pool, std::move(options), std::move(calls)});
  add_jaeger_grpc(pages, shared);
  add_jaeger_v1(pages, shared);
  add_jaeger_v3(pages, shared);
}

}  // namespace tailgate
