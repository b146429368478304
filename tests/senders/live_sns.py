"""Drives a live SNS and CloudWatch through AWS's own client: live_sns.py ENDPOINT subscribe URL | confirmed | alarm STATE |
publish MESSAGE. Prints JSON."""

import json
import sys

import boto3
from botocore.config import Config

endpoint, what = sys.argv[1], sys.argv[2]
SETTINGS = {
    "endpoint_url": endpoint,
    "region_name": "us-east-1",
    "aws_access_key_id": "test",
    "aws_secret_access_key": "test",
    "config": Config(proxies={}, retries={"max_attempts": 1}),
}
sns, cloudwatch = boto3.client("sns", **SETTINGS), boto3.client("cloudwatch", **SETTINGS)
topic = sns.create_topic(Name="alarms")["TopicArn"]

if what == "subscribe":
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=sys.argv[3])
    cloudwatch.put_metric_alarm(
        AlarmName="checkout-5xx",
        AlarmActions=[topic],
        OKActions=[topic],
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_Target_5XX_Count",
        Dimensions=[{"Name": "TargetGroup", "Value": "targetgroup/checkout/0123456789abcdef"}],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=5.0,
    )
    print(json.dumps(topic))
elif what == "confirmed":
    listed = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    print(json.dumps(bool(listed) and all(one["SubscriptionArn"].startswith("arn:") for one in listed)))
elif what == "alarm":
    cloudwatch.set_alarm_state(AlarmName="checkout-5xx", StateValue=sys.argv[3], StateReason="as the test says")
    print("null")
elif what == "publish":
    print(json.dumps(sns.publish(TopicArn=topic, Message=sys.argv[3])["MessageId"]))
else:
    raise SystemExit(__doc__)
