#!/usr/bin/env bash
# Makes a real search engine for tests out of the jars that its project publishes:
#
#     test/support/search-engines/install.sh opensearch|elasticsearch FOLDER
#
# FOLDER becomes what the project's own archive unpacks to, as far as one node needs it; FOLDER/bin has the program, which takes
# the same words. Needs Java (11 or later) and Maven.
set -euo pipefail
engine=$1
home=$(mkdir -p "$2" && cd "$2" && pwd)
pom=$(cd "$(dirname "$0")" && pwd)/$engine.xml
version=$(sed -n '/<artifactId>'"$engine"'<\/artifactId>/{n;s/.*<version>\(.*\)<\/version>.*/\1/p;q}' "$pom")

case $engine in
  opensearch) key=opensearch main=org.opensearch.bootstrap.OpenSearch ;;
  elasticsearch) key=es main=org.elasticsearch.bootstrap.Elasticsearch ;;
esac

module=$home/modules/transport-netty4
rm -rf "$home/lib" "$module"
mkdir -p "$home/bin" "$home/config" "$home/plugins" "$module"
mvn --quiet --batch-mode --file "$pom" dependency:copy-dependencies -DoutputDirectory="$home/lib"
mv "$home"/lib/netty-* "$home"/lib/transport-netty4* "$module"

cat >"$module/plugin-descriptor.properties" <<EOF
name=transport-netty4
description=HTTP
version=$version
$engine.version=$version
java.version=1.8
classname=org.$engine.transport.Netty4Plugin
EOF
cat >"$module/plugin-security.policy" <<'EOF'
grant {
  permission java.net.SocketPermission "*", "accept,connect,listen,resolve";
  permission java.lang.RuntimePermission "accessDeclaredMembers";
  permission java.lang.RuntimePermission "accessClassInPackage.*";
  permission java.lang.reflect.ReflectPermission "suppressAccessChecks";
  permission java.util.PropertyPermission "*", "read,write";
};
EOF
cat >"$home/config/log4j2.properties" <<'EOF'
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
EOF
touch "$home/config/$engine.yml"

# Without its native library, the engine cannot see that it runs as root, as tests on new machines do.
cat >"$home/bin/$engine" <<EOF
#!/bin/sh
LIBFFI_TMPDIR=\${TMPDIR:-/tmp} exec java -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.security.manager=allow \\
  -Djna.nosys=true -Djna.noclasspath=true -Dlog4j2.disable.jmx=true \\
  -D$key.path.home="$home" -D$key.path.conf="$home/config" -cp "$home/lib/*" $main "\$@"
EOF
chmod +x "$home/bin/$engine"
