<?php
$url = 'https://audiotag.info/api';

$apikey = 'a45d46d912acf22f095ddf0a94df21e5'; # generate and place here your unique API access key, the key must be 'active'
$action = 'identify';
$filename = 'gazebo_12s.wav';

$args=[
    'apikey' => $apikey,
    'action' => $action,
    'file'   => curl_file_create($filename, 'application/octet-stream', $filename),
];

$ch = curl_init();
curl_setopt($ch, CURLOPT_POST, 1);
curl_setopt($ch, CURLOPT_URL,$url);
curl_setopt($ch, CURLOPT_RETURNTRANSFER,true);
curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 0);
curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, 0);
curl_setopt($ch, CURLOPT_POSTFIELDS, $args);
$result = curl_exec ($ch);
curl_close ($ch);
var_export($result);

?>
