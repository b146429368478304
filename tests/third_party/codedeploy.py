"""A third party's opinion on the pretend CodeDeploy and on what Snapback sends, by botocore's own service models.

  codedeploy.py pretend URL            drives the pretend service as a client, and checks every answer against the model
  codedeploy.py requests FILE [moto]   checks recorded requests against the model, and makes them to moto where it can
  codedeploy.py commands               reads commands of the AWS CLI, one a line, and prints what each asks for, by the model
  codedeploy.py moto                   serves a moto with a group and a deployment until standard input ends; prints its URL
"""

import json
import shlex
import sys

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

SESSION = botocore.session.get_session()
MODELS = {
    "CodeDeploy_20141006": "codedeploy",
    "AmazonEC2ContainerServiceV20141113": "ecs",
    "AmazonEC2ContainerRegistry_V20150921": "ecr",
}
ANSWERS = []


def client(service, url):
    SESSION.set_credentials("AKIATEST", "secret")
    made = SESSION.create_client(
        service,
        region_name="eu-west-1",
        endpoint_url=url,
        config=Config(retries={"total_max_attempts": 1}),
    )
    made.meta.events.register("before-parse", lambda **kwargs: ANSWERS.append(kwargs["response_dict"]))
    return made


def check(shape, value, path, wrong):
    """An answer against its shape: no member that the model does not know, and each of its type and of its words."""
    kind = shape.type_name
    if value is None:
        return
    if kind == "structure":
        if not isinstance(value, dict):
            return wrong.append(f"{path}: {value!r} is no {shape.name}")
        for name, inner in value.items():
            if name not in shape.members:
                wrong.append(f"{path}: {shape.name} has no {name}")
            else:
                check(shape.members[name], inner, f"{path}.{name}", wrong)
    elif kind == "list":
        if not isinstance(value, list):
            return wrong.append(f"{path}: {value!r} is no list")
        for nth, inner in enumerate(value):
            check(shape.member, inner, f"{path}[{nth}]", wrong)
    elif kind == "map":
        for name, inner in value.items():
            check(shape.value, inner, f"{path}[{name}]", wrong)
    elif kind == "string":
        if not isinstance(value, str):
            wrong.append(f"{path}: {value!r} is no text")
        elif getattr(shape, "enum", None) and value not in shape.enum:
            wrong.append(f"{path}: {value!r} is none of {shape.enum}")
    elif kind in ("integer", "long"):
        if not isinstance(value, int) or isinstance(value, bool):
            wrong.append(f"{path}: {value!r} is no whole number")
    elif kind == "boolean":
        if not isinstance(value, bool):
            wrong.append(f"{path}: {value!r} is neither true nor false")
    elif kind in ("timestamp", "float", "double"):
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            wrong.append(f"{path}: {value!r} is no number")


def answers(made, service):
    """Every raw answer since the last call of this, against its operation's output."""
    wrong = []
    model = SESSION.get_service_model(service)
    for operation, raw in made:
        check(model.operation_model(operation).output_shape, json.loads(raw["body"]), operation, wrong)
    return wrong


def refused(call, kind):
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == kind, error
        return
    raise AssertionError(f"not refused with {kind}")


def pretend(url):
    codedeploy = client("codedeploy", url)
    group = {"applicationName": "checkout", "deploymentGroupName": "production"}
    called = []

    def call(operation, **params):
        name = "".join("_" + c.lower() if c.isupper() else c for c in operation).lstrip("_")
        ANSWERS.clear()
        answer = getattr(codedeploy, name)(**params)
        called.append((operation, ANSWERS[-1]))
        return answer

    info = call("GetDeploymentGroup", **group)["deploymentGroupInfo"]
    assert info["computePlatform"] == "ECS", info
    pages, token = [], {}
    while True:
        page = call("ListDeployments", **group, **token)
        pages.append(page["deployments"])
        if not page.get("nextToken"):
            break
        token = {"nextToken": page["nextToken"]}
    ids = [one for page in pages for one in page]
    assert len(pages) > 1 and len(ids) == len(set(ids)), pages
    told = call("BatchGetDeployments", deploymentIds=ids[:25])["deploymentsInfo"]
    assert len(told) == min(len(ids), 25)
    refused(lambda: codedeploy.batch_get_deployments(deploymentIds=["d-000000001"] * 26), "BatchLimitExceededException")
    one = call("GetDeployment", deploymentId=ids[0])["deploymentInfo"]
    assert one["revision"]["appSpecContent"].get("content") is None, "GetDeployment leaves the text out"
    kept = call("GetApplicationRevision", applicationName="checkout", revision=one["revision"])
    revision = kept["revision"]
    assert "TaskDefinition" in revision["appSpecContent"]["content"]
    made = call("CreateDeployment", **group, revision=revision, description="by botocore")["deploymentId"]
    refused(
        lambda: codedeploy.create_deployment(**group, revision=revision), "DeploymentLimitExceededException"
    )
    refused(lambda: codedeploy.list_deployment_targets(deploymentId=made), "DeploymentNotStartedException")
    assert call("StopDeployment", deploymentId=made, autoRollbackEnabled=True)["status"] == "Pending"
    assert call("StopDeployment", deploymentId=made, autoRollbackEnabled=True)["status"] == "Succeeded"
    targets = call("ListDeploymentTargets", deploymentId=ids[-1])["targetIds"]
    call("BatchGetDeploymentTargets", deploymentId=ids[-1], targetIds=targets)
    refused(lambda: codedeploy.get_deployment(deploymentId="d-NOWHERE00"), "DeploymentDoesNotExistException")
    refused(
        lambda: codedeploy.stop_deployment(deploymentId=ids[-1]), "DeploymentAlreadyCompletedException"
    )
    refused(
        lambda: codedeploy.get_deployment_group(applicationName="checkout", deploymentGroupName="no"),
        "DeploymentGroupDoesNotExistException",
    )
    wrong = answers(called, "codedeploy")
    assert not wrong, "\n".join(wrong)
    behind(url)
    print(f"pretend: {len(called)} answers are as the model says")


def behind(url):
    """What stands behind CodeDeploy, by the clients of its own services."""
    service = client("ecs", url).describe_services(cluster="shop", services=["checkout"])["services"][0]
    definition = service["taskSets"][0]["taskDefinition"]
    told = client("ecs", url).describe_task_definition(taskDefinition=definition)["taskDefinition"]
    assert told["status"] == "ACTIVE" and told["containerDefinitions"][0]["image"], told
    tag = told["containerDefinitions"][0]["image"].rsplit(":", 1)[1]
    images = client("ecr", url).describe_images(repositoryName="shop/checkout", imageIds=[{"imageTag": tag}])
    assert images["imageDetails"], images
    refused(
        lambda: client("ecr", url).describe_images(repositoryName="shop/checkout", imageIds=[{"imageTag": "x"}]),
        "ImageNotFoundException",
    )
    functions = client("lambda", url)
    assert functions.get_alias(FunctionName="checkout", Name="live")["FunctionVersion"]
    refused(lambda: functions.get_function_configuration(FunctionName="checkout", Qualifier="99"), "ResourceNotFoundException")


def requests(path, with_moto):
    """What Snapback sent, against the model of its operation."""
    wrong, seen = [], set()
    recorded = json.load(open(path, encoding="utf-8"))
    for one in recorded:
        target, operation = one["target"].split(".")
        model = SESSION.get_service_model(MODELS[target]).operation_model(operation)
        seen.add(operation)
        report = ParamValidator().validate(one["body"], model.input_shape)
        if report.has_errors():
            wrong.append(f"{operation}: {report.generate_report()}")
        check(model.input_shape, one["body"], operation, wrong)
    assert not wrong, "\n".join(wrong)
    print(f"requests: {len(recorded)} of {len(seen)} operations are as the model says: {', '.join(sorted(seen))}")
    if with_moto:
        to_moto(recorded)


def commands(lines):
    """What commands of the AWS CLI ask for: options are members of the operation, in the CLI's spelling."""
    service = SESSION.get_service_model("codedeploy")
    for line in lines:
        aws, name, operation, *options = shlex.split(line)
        assert (aws, name) == ("aws", "deploy"), line
        named = {xform_name(one, "-"): one for one in service.operation_names}
        shape = service.operation_model(named[operation]).input_shape
        members = {xform_name(one, "-"): (one, member) for one, member in shape.members.items()}
        asked = {}
        while options:
            option = options.pop(0).removeprefix("--")
            if option in ("region", "endpoint-url"):
                options.pop(0)
                continue
            says = not option.startswith("no-")
            member, kind = members[option.removeprefix("no-")]
            if kind.type_name == "boolean":
                asked[member] = says
            elif kind.type_name == "string":
                asked[member] = options.pop(0)
            elif options[0].startswith("{"):
                asked[member] = json.loads(options.pop(0))
            else:
                pairs = (pair.split("=") for pair in options.pop(0).split(","))
                asked[member] = {key: value == "true" for key, value in pairs}
        report = ParamValidator().validate(asked, shape)
        assert not report.has_errors(), f"{line}: {report.generate_report()}"
        print(json.dumps(asked))


def a_moto():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    codedeploy = client("codedeploy", url)
    codedeploy.create_application(applicationName="checkout", computePlatform="Server")
    codedeploy.create_deployment_group(
        applicationName="checkout",
        deploymentGroupName="production",
        serviceRoleArn="arn:aws:iam::111122223333:role/codedeploy",
    )
    return server, url


def to_moto(recorded):
    """The same calls against moto, where it implements them."""
    server, url = a_moto()
    codedeploy = client("codedeploy", url)
    taken = []
    for one in recorded:
        operation = one["target"].split(".")[1]
        body = dict(one["body"])
        if operation == "CreateDeployment":
            made = codedeploy.create_deployment(**body)["deploymentId"]
            told = codedeploy.get_deployment(deploymentId=made)["deploymentInfo"]
            assert told["description"] == body["description"], told
            listed = codedeploy.list_deployments(
                applicationName="checkout", deploymentGroupName="production"
            )["deployments"]
            assert made in listed, listed
            told = codedeploy.batch_get_deployments(deploymentIds=[made])["deploymentsInfo"]
            assert told[0]["description"].startswith("snapback/"), told
        elif operation == "GetDeploymentGroup":
            codedeploy.get_deployment_group(**body)
        elif operation == "ListDeployments":
            body.pop("nextToken", None)
            codedeploy.list_deployments(**body)
        else:
            continue
        taken.append(operation)
    server.stop()
    assert {"CreateDeployment", "GetDeploymentGroup", "ListDeployments"} <= set(taken), taken
    print(f"moto: {len(taken)} of the same calls taken")


def moto():
    server, url = a_moto()
    revision = {
        "revisionType": "S3",
        "s3Location": {"bucket": "releases", "key": "checkout-1.zip", "bundleType": "zip", "version": "v1"},
    }
    client("codedeploy", url).create_deployment(
        applicationName="checkout", deploymentGroupName="production", revision=revision, description="version=v1"
    )
    print(url, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    what = sys.argv[1]
    if what == "pretend":
        pretend(sys.argv[2])
    elif what == "requests":
        requests(sys.argv[2], "moto" in sys.argv[3:])
    elif what == "commands":
        commands(sys.stdin.read().splitlines())
    elif what == "moto":
        moto()
    else:
        sys.exit(f"no such part: {what}")
