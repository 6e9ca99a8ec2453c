// SPDX-License-Identifier: BSD-2-Clause
// How often the test program has called operator new (counted in allocation_test.cpp).
#pragma once

#include <cstddef>

namespace tcptrail::test {

std::size_t allocations();

}  // namespace tcptrail::test
