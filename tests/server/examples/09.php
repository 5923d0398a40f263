<?php

$url = 'https://audiotag.info/api';

$filename = 'gazebo_12s.wav';
$apikey   = 'a45d46d912acf22f095ddf0a94df21e5'; # generate and place here your unique API access key, the key must be 'active'
$action   = 'identify';

$ch = curl_init();

$args=[];
$args['apikey']   = $apikey;
$args['action']   = $action;
$args['start_time'] = 20; # start recognition with offset of 20 sec from the beginning of the file
$args['time_len']  = 50; # analyze only 50 seconds from the start point

$args['file']     = curl_file_create($filename, 'application/octet-stream', $filename);

curl_setopt($ch, CURLOPT_POST, 1);
curl_setopt($ch, CURLOPT_URL,$url);
curl_setopt($ch, CURLOPT_RETURNTRANSFER,true);
curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 0);
curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, 0);
curl_setopt($ch, CURLOPT_POSTFIELDS, $args);
$result=curl_exec ($ch);
curl_close ($ch);
# if curl_exec returns false - request to the server failed
if($result===false){
    echo 'Server does not responding';
    echo ' or file not found';
    exit();
}

echo $result;
$result = json_decode($result,true);
if(!$result)
    exit('error');

# $result variable contains object with keywords:
#           'success' [boolean true|false],
#           'token' [string token],
#           'job_status' [string "wait"],
#           'error' [string error],
# Exemplary reply (object in the $result variable):
# {
#   "success":true,
#   "error":null,
#   "job_status": "wait",
#   "token": "fe57a3d3f9615891fe33e6b5ddaa540c"
# }

if($result['success'] && $result['job_status']=='wait'){
    $args=[];


    $args['apikey'] = $apikey;
    $args['action'] = 'get_result';
    $args['token'] = $Result['token'];
    $n=1;
    $job_status = 'wait';
    $ch = curl_init();
    while($n < 100 && $job_status=='wait'){ # query the server periodically, not more than 100 times
        usleep(500000); # delay 0.5sec between calls (not required but recognition takes some time to the server
        echo "\n request: $n \n";
        $n++;

        curl_setopt($ch, CURLOPT_POST, 1);
        curl_setopt($ch, CURLOPT_URL,$url);
        curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 0);
        curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, 0);
        curl_setopt($ch, CURLOPT_RETURNTRANSFER,true);
        curl_setopt($ch, CURLOPT_POSTFIELDS, $args);
        $Result=curl_exec ($ch);
        if($Result===false){
            echo "request error\n";
            exit();
        }
        if($Result === false)
            break;

        $Result = json_decode($Result,true);

        if($Result && $Result['success']){
            $job_status = $Result['result'];
        }else{
            break;
        }
    }
    curl_close ($ch);
}
var_export($Result);

?>
