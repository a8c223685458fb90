#include "keepctl/clone/clone_bucket.hpp"

namespace keepstore::keepctl {

bool same_service(const clone_bucket& a, const clone_bucket& b) {
    return a.service == b.service;
}

bool same_bucket(const clone_bucket& a, const clone_bucket& b) {
    return same_service(a, b) && a.bucket == b.bucket;
}

std::string clone_bucket::key_of(object_kind kind, const md5_digest& name) const {
    switch (kind) {
        case object_kind::marker:
            return names.recent(name);
        case object_kind::trash:
            return names.trash(name);
        case object_kind::block:
            break;
    }
    return names.block(name);
}

}  // namespace keepstore::keepctl
