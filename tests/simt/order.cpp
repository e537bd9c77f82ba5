#include "tests/simt/order.h"

namespace simt {
namespace {

uint64_t current = 0;

}  // namespace

Order::Order(uint64_t seed) : before_(current) { current = seed; }
Order::~Order() { current = before_; }
uint64_t order_seed() { return current; }

}  // namespace simt
