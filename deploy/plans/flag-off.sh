#!/bin/sh
# Switches a flag of flagd off: NAMESPACE, the FeatureFlag resource, the flag. Setting a state is harmless twice.
set -eu
patch=$(printf '{"spec":{"flagSpec":{"flags":{"%s":{"state":"DISABLED"}}}}}' "$3")
exec kubectl --namespace "$1" patch featureflags.core.openfeature.dev "$2" --type merge --patch "$patch"
